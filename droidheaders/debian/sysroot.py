"""Libraries of another architecture: for what is built here to run there, or there to run here."""

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


_RUNTIME = ("libc6", "libelf1", "libssl3", "zlib1g")
"""What a kernel's host tools are linked with: objtool with libelf, sign-file with libcrypto."""


def sysroot(arch: str) -> Path:
    """Return a directory with usr/include and usr/lib/TRIPLE for `arch` (arm64, x86_64).

    Fetched on first use, 5 MB, and kept. Raises DroidheadersError when packages cannot be had.
    """
    return _there(arch, place(arch), PACKAGES)


def libraries(arch: str) -> Path:
    """Return a directory with the dynamic linker and libraries of `arch`, for programs of its own.

    Fetched on first use, 5 MB, and kept. Raises DroidheadersError when packages cannot be had.
    """
    return _there(arch, _place(arch, _RUNTIME), _RUNTIME)


def place(arch: str) -> Path:
    """Return where the directory for `arch` is, or will be when it has been fetched."""
    return _place(arch, PACKAGES)


def _place(arch: str, packages: tuple[str, ...]) -> Path:
    key = hashlib.sha256(repr((SUITE, packages)).encode()).hexdigest()[:12]
    return cache_dir() / "sysroot" / f"{arch}-{key}"


def _there(arch: str, there: Path, names: tuple[str, ...]) -> Path:
    if there.is_dir():
        return there
    with locked():
        if not there.is_dir():
            _fetch(arch, there, names)
    return there


def _fetch(arch: str, into: Path, names: tuple[str, ...]) -> None:
    ui.say(f"fetching libraries for {arch}")
    packages = Packages(cache_dir(), mirror(), [SUITE], arch)
    packages.update()
    files = packages.fetch(packages.find(names, DEBIAN_ARCH[arch]))
    new = into.with_name(f".{into.name}.{os.urandom(4).hex()}")
    try:
        unpack(files, new)
        new.rename(into)
    finally:
        rmtree(new, ignore_errors=True)
