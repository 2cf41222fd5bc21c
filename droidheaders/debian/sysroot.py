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

PACKAGES = ("libbpf-dev", "libc6-dev", "libelf-dev", "linux-libc-dev", "zlib1g-dev")
"""What is unpacked: libbpf with bpf/*.h, libelf and zlib which it needs, the C library."""


def sysroot(arch: str) -> Path:
    """Return a directory with usr/include and usr/lib/TRIPLE for `arch` (arm64, x86_64).

    Fetched on first use, 5 MB, and kept. Raises DroidheadersError when packages cannot be had.
    """
    key = hashlib.sha256(repr((SUITE, PACKAGES)).encode()).hexdigest()[:12]
    place = cache_dir() / "sysroot" / f"{arch}-{key}"
    if place.is_dir():
        return place
    with locked():
        if not place.is_dir():
            _fetch(arch, place)
    return place


def _fetch(arch: str, place: Path) -> None:
    ui.say(f"fetching libraries for {arch}")
    packages = Packages(cache_dir(), mirror(), [SUITE], arch)
    packages.update()
    files = packages.fetch(packages.find(PACKAGES, DEBIAN_ARCH[arch]))
    new = place.with_name(f".{place.name}.{os.urandom(4).hex()}")
    try:
        unpack(files, new)
        new.rename(place)
    finally:
        rmtree(new, ignore_errors=True)
