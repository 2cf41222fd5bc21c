"""One bundle: a directory that holds what the cache has for one kernel, and says where it is from.

bundle.json     what this is and where each part came from; docs/cache.md has its keys
headers/        include/ and arch/<arch>/include/, files read-only
config          IKCONFIG, decompressed, where the device let us read it
btf             the kernel's own BTF, likewise
archive.tar.xz  what came off the device, byte for byte
manifest        SHA-256 of every other file, as `sha256sum -c manifest` reads it
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from droidheaders.cache.disk import disk_errors
from droidheaders.errors import UsageError
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.kconfig import Kconfig

SCHEMA = 1

# What every reader relies on: the type of a value, or of each within an object or a list of them.
_KERNEL = ("release", "version", "machine", "build_id")
_SHAPE: dict[str, Any] = {
    "name": str,
    "kernel": dict.fromkeys(_KERNEL, str),
    "arch": str,
    "compiler": str,
    "archive": {"sha256": str, "size": int, "path": str},
    "headers": {"files": int, "bytes": int},
    "symlinks": {...: str},
    "sources": {...: str},
    "pulled": str,
    "warnings": [str],
}


@dataclass(frozen=True)
class Bundle:
    """A bundle that is there. `meta` is its bundle.json."""

    path: Path
    meta: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> Bundle | None:
        """Return the bundle at `path`, or None when there is none that this version can read.

        A link is none, wherever it leads: what a bundle consists of lies in the cache.
        """
        try:
            if path.is_symlink():
                return None
            meta = json.loads((path / "bundle.json").read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(meta, dict) or meta.get("schema") != SCHEMA or not _fits(meta, _SHAPE):
            return None
        return cls(path, meta)

    @property
    def name(self) -> str:
        """Return the directory's name: release, machine and the start of the archive's SHA-256."""
        return self.path.name

    @property
    def headers(self) -> Path:
        """Return the directory that holds include/ and arch/."""
        return self.path / "headers"

    @property
    def kernel(self) -> KernelIdentity:
        """Return the identity of the kernel it was first pulled from."""
        return KernelIdentity(*(self.meta["kernel"][key] for key in _KERNEL))

    @property
    def parts(self) -> list[str]:
        """Return which of headers, config and btf are there."""
        return [part for part in ("headers", "config", "btf") if (self.path / part).exists()]

    def config(self) -> Kconfig | None:
        """Return the kernel's configuration, or None when the bundle has none that can be read."""
        try:
            return Kconfig.parse((self.path / "config").read_bytes())
        except (OSError, ValueError):
            return None

    @property
    def state(self) -> str:
        """Return what the headers are good for: usable, partial, or unknown when nobody looked."""
        return str(self.meta.get("state", "unknown"))

    def manifest(self) -> dict[str, str]:
        """Return the SHA-256 of every file but the manifest itself, by path below the bundle.

        Raises OSError when it cannot be read, ValueError when it is not what was written.
        """
        return parse_manifest((self.path / "manifest").read_text("utf-8"))

    def header_digests(self) -> dict[str, str]:
        """Return the SHA-256 of every header, by path below headers/; raises as `manifest` does."""
        return {
            name.removeprefix("headers/"): digest
            for name, digest in self.manifest().items()
            if name.startswith("headers/")
        }

    def used(self) -> float:
        """Return when the bundle was last asked for, in seconds since the epoch."""
        return self.path.stat().st_mtime

    def copy_headers(self, output: Path) -> None:
        """Copy headers/ to `output`, which must be `available`: whole, or not at all."""
        from shutil import copytree, rmtree

        available(output)
        staging = output.absolute().parent / f".{output.name}.{os.urandom(4).hex()}"
        try:
            with disk_errors(output, "the directory", "--output"):
                copytree(self.headers, staging, symlinks=True)
                staging.rename(output)
        finally:
            rmtree(staging, ignore_errors=True)


def _fits(value: Any, shape: Any) -> bool:
    """Tell whether a value of bundle.json has the shape it was written with."""
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(one, shape[0]) for one in value)
    if not isinstance(shape, dict):
        return isinstance(value, shape)
    if not isinstance(value, dict):
        return False
    if ... in shape:
        return all(_fits(one, shape[...]) for one in value.values())
    return all(_fits(value.get(key), inner) for key, inner in shape.items())


def parse_manifest(text: str) -> dict[str, str]:
    """Return the digests in a manifest, by path; ValueError when it is not what was written."""
    lines = [line.split("  ", 1) for line in text.removesuffix("\n").split("\n")]
    if not text.endswith("\n") or any(len(parts) != 2 or len(parts[0]) != 64 for parts in lines):
        raise ValueError("the manifest is damaged")
    return {name: digest for digest, name in lines}


def available(output: Path) -> None:
    """Raise UsageError unless `output` does not exist or is an empty directory."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} exists and is not an empty directory", "--output ANOTHER")


def bundle_name(kernel: KernelIdentity, archive_sha256: str) -> str:
    """Return a kernel's directory name: one plain name, whatever text the device sends."""
    return f"{_escaped(kernel.release)}-{_escaped(kernel.machine)}-{archive_sha256[:12]}"


def _escaped(text: str) -> str:
    plain = re.sub(
        rb"[^A-Za-z0-9._+~-]",
        lambda m: b"%%%02X" % m[0][0],
        text.encode("utf-8", "surrogateescape"),
    ).decode()
    # A leading dot would hide it among the staging directories; "%" cannot come from a plain name.
    return re.sub(r"^\.", "%2E", plain)[:100]
