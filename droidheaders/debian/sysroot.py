"""Headers and static libraries of a device's architecture, for what is built here to run there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from shutil import rmtree

from droidheaders.debian.arch import DEBIAN_ARCH
from droidheaders.debian.mirror import mirror
from droidheaders.debian.packages import Packages, unpack
from droidheaders.debian.place import cache_dir, locked
from droidheaders.ui import ui

SUITE = "bookworm"

PACKAGES = (
    *("libbpf-dev", "libc6-dev", "libelf-dev", "libgcc-12-dev", "linux-libc-dev", "zlib1g-dev"),
)
"""What is unpacked: libbpf with bpf/*.h, libelf and zlib which it needs, the C library, and what
compilers count on (clang looks for it here, gcc has its own)."""


def sysroot(arch: str) -> Path:
    """Return a directory with usr/include and usr/lib/TRIPLE for `arch` (arm64, x86_64).

    Fetched on first use, 5 MB, and kept. Raises DroidheadersError when packages cannot be had.
    """
    there = place(arch)
    if there.is_dir():
        return there
    with locked():
        if not there.is_dir():
            _fetch(arch, there)
    return there


def place(arch: str) -> Path:
    """Return where the directory for `arch` is, or will be when it has been fetched."""
    key = hashlib.sha256(repr((SUITE, PACKAGES)).encode()).hexdigest()[:12]
    return cache_dir() / "sysroot" / f"{arch}-{key}"


def _fetch(arch: str, into: Path) -> None:
    ui.say(f"fetching libraries for {arch}")
    packages = Packages(cache_dir(), mirror(), [SUITE], arch)
    packages.update()
    files = packages.fetch(packages.find(PACKAGES, DEBIAN_ARCH[arch]))
    new = into.with_name(f".{into.name}.{os.urandom(4).hex()}")
    try:
        unpack(files, new)
        new.rename(into)
    finally:
        rmtree(new, ignore_errors=True)
