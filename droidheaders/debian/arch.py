"""Architectures by the names that Debian, compilers and this project give them."""

from __future__ import annotations

import platform

from droidheaders.errors import DroidheadersError

MACHINE = {"amd64": "x86_64", "x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
"""Our name of an architecture, by what platform.machine() or dpkg call it."""

DEBIAN_ARCH = {"x86_64": "amd64", "arm64": "arm64"}

TRIPLE = {"arm64": "aarch64-linux-gnu", "x86_64": "x86_64-linux-gnu"}
"""How GNU compilers, clang's --target and Debian's library directories name an architecture."""


def host_arch() -> str:
    """Return "x86_64" or "arm64"; raises DroidheadersError on any other host."""
    machine = platform.machine().lower()
    if machine not in MACHINE:
        raise DroidheadersError(f"Debian's packages for {machine} hosts are not known here")
    return MACHINE[machine]
