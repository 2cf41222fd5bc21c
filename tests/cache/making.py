"""Bundles as a pull makes them, without a device."""

from __future__ import annotations

import hashlib

from droidheaders.cache import Bundle, Cache
from droidheaders.headers.limits import Limits
from droidheaders.headers.tar import members
from droidheaders.headers.unpack import unpack
from droidheaders.headers.xz import XzStream
from droidheaders.kernel import KernelIdentity
from tests.archives import GOOD, tar, xz

LINKS = {"include/linux/task.h": "sched.h"}


def kernel(release: str) -> KernelIdentity:
    """Return an identity of its own for each release."""
    build_id = hashlib.sha1(release.encode()).hexdigest()
    return KernelIdentity(release, "#1 SMP", "aarch64", build_id)


def make(cache: Cache, release: str = "6.1.176", files: dict[str, bytes] | None = None) -> Bundle:
    """Commit a bundle of `files` beside the usual ones, with a config and BTF."""
    archive = xz(tar({**GOOD, "include/own.h": release.encode(), **(files or {})}, links=LINKS))
    limits = Limits()
    share = cache.neighbours(kernel(release)).share
    with cache.stage() as staging:
        staging.headers.mkdir()
        with staging.archive.open("xb") as copy:
            stream = XzStream(iter([archive]), expected=len(archive), copy=copy, limits=limits)
            done = unpack(members(iter(stream), limits), staging.headers, limits, share)
        (staging.path / "config").write_bytes(b"CONFIG_IKHEADERS=y\n")
        (staging.path / "btf").write_bytes(b"\x9f\xeb" + release.encode())
        meta = {
            "archive": {"sha256": stream.sha256, "size": len(archive)},
            "headers": {"files": done.files},
            "symlinks": done.symlinks,
            "warnings": [],
        }
        return cache.commit(staging, kernel(release), meta, done.sha256)
