"""What the host must have to build and boot guests, and the Debian packages that bring it."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from droidheaders.debian.arch import TRIPLE, host_arch
from droidheaders.debian.packages import KEYRING
from droidheaders.errors import DroidheadersError

_COMMON = {
    "adb": "adb",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "gcc": "gcc",
    # objtool, which every x86 module goes through, is linked to it
    "libelf.so.1": "libelf-dev",
    "make": "make",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-x86_64": "qemu-system-x86",
    "secilc": "secilc",
    "zstd": "zstd",
    KEYRING: "debian-archive-keyring",
}

# The guest's own programs are static, and the C library is only a recommendation of a cross
# compiler's package.
TOOLS: Mapping[str, Mapping[str, str]] = {
    "x86_64": _COMMON
    | {
        "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
        "/usr/aarch64-linux-gnu/lib/libc.a": "libc6-dev-arm64-cross",
        "/usr/lib/x86_64-linux-gnu/libc.a": "libc6-dev",
    },
    "arm64": _COMMON
    | {
        "x86_64-linux-gnu-gcc": "gcc-x86-64-linux-gnu",
        "/usr/x86_64-linux-gnu/lib/libc.a": "libc6-dev-amd64-cross",
        "/usr/lib/aarch64-linux-gnu/libc.a": "libc6-dev",
    },
}
"""For each host architecture: what is needed, and the package it is in."""

HOST_PACKAGES: Mapping[str, tuple[str, ...]] = {
    arch: tuple(sorted(set(tools.values()))) for arch, tools in TOOLS.items()
}
"""For each host architecture: every package that setting up and starting guests needs."""

BUILD = ("apt-get", "dpkg-deb", KEYRING, "make", "secilc")


def cross_prefix(arch: str) -> str:
    """Return CROSS_COMPILE for a guest of `arch`: empty when the host's own compiler will do."""
    return "" if arch == host_arch() else f"{TRIPLE[arch]}-"


def qemu_binary(arch: str) -> str:
    """Return the name of the QEMU that runs guests of `arch`."""
    return {"arm64": "qemu-system-aarch64", "x86_64": "qemu-system-x86_64"}[arch]


def builders(arch: str) -> tuple[str, ...]:
    """Return what setting up a guest of `arch` needs."""
    elf = ("libelf.so.1",) if arch == "x86_64" else ()
    libc = f"/usr/{'lib/' if arch == host_arch() else ''}{TRIPLE[arch]}"
    libc += "/libc.a" if arch == host_arch() else "/lib/libc.a"
    return (*BUILD, f"{cross_prefix(arch)}gcc", *elf, libc)


def require(tools: Iterable[str]) -> None:
    """Raise DroidheadersError naming every one of `tools` that the host lacks."""
    missing = sorted(tool for tool in set(tools) if not _present(tool))
    if not missing:
        return
    packages = missing_packages(missing)
    raise DroidheadersError(
        f"this host lacks {', '.join(missing)}, needed for guests",
        hint=f"sudo apt-get install {' '.join(packages)}",
    )


def missing_packages(tools: Iterable[str]) -> list[str]:
    """Return the Debian packages of those `tools` that the host lacks, sorted."""
    known = TOOLS[host_arch()]
    return sorted({known.get(tool, tool) for tool in tools if not _present(tool)})


def _present(tool: str) -> bool:
    if tool.startswith("/"):
        return Path(tool).is_file()
    if ".so" in tool:
        try:
            ctypes.CDLL(tool)
        except OSError:
            return False
        return True
    return shutil.which(tool) is not None
