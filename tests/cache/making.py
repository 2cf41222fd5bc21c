"""Bundles as a pull makes them, without a device."""

from __future__ import annotations

import hashlib
from typing import Any

from droidheaders.cache import Bundle, Cache
from droidheaders.headers.limits import Limits
from droidheaders.headers.tar import members
from droidheaders.headers.unpack import unpack
from droidheaders.headers.xz import XzStream
from droidheaders.kernel import KernelIdentity
from tests.archives import GOOD, tar, xz

LINKS = {"include/linux/task.h": "sched.h"}


def meta(sha256: str, size: int = 1, files: int = 1, **more: Any) -> dict[str, Any]:
    """Return what a pull would say of a bundle whose archive has this digest."""
    return {
        "arch": "arm64",
        "compiler": "",
        "archive": {"sha256": sha256, "size": size, "path": "/sys/kernel/kheaders.tar.xz"},
        "headers": {"files": files, "bytes": size},
        "symlinks": {},
        "sources": {},
        "pulled": "2026-01-01T00:00:00Z",
        "warnings": [],
        **more,
    }


def kernel(release: str) -> KernelIdentity:
    """Return an identity of its own for each release."""
    build_id = hashlib.sha1(release.encode()).hexdigest()
    return KernelIdentity(release, "#1 SMP", "aarch64", build_id)


def make(
    cache: Cache,
    release: str = "6.1.176",
    files: dict[str, bytes] | None = None,
    of: KernelIdentity | None = None,
    *,
    btf: bytes | None = None,
    **more: Any,
) -> Bundle:
    """Commit a bundle of `files` beside the usual ones, with a config and BTF; none when empty.

    `more` goes into its bundle.json.
    """
    archive = xz(tar({**GOOD, "include/own.h": release.encode(), **(files or {})}, links=LINKS))
    limits = Limits()
    share = cache.neighbours(kernel(release)).share
    with cache.stage() as staging:
        staging.headers.mkdir()
        with staging.archive.open("xb") as copy:
            stream = XzStream(iter([archive]), expected=len(archive), copy=copy, limits=limits)
            done = unpack(members(iter(stream), limits), staging.headers, limits, share)
        (staging.path / "config").write_bytes(b"CONFIG_IKHEADERS=y\n")
        if btf != b"":
            (staging.path / "btf").write_bytes(btf or b"\x9f\xeb" + release.encode())
        said = meta(stream.sha256, len(archive), done.files, symlinks=done.symlinks, **more)
        return cache.commit(staging, of or kernel(release), said, done.sha256)
