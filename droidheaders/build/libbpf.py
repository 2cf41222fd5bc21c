"""libbpf's headers for BPF programs: bpf/bpf_helpers.h and its like, and nothing besides.

One place in the cache leads to them, beside every bundle, so that flags name it without knowing
this host: kernels/.libbpf/bpf, a link. It leads to the host's own, which
are those of the libbpf that the person builds with; else to those of Debian's libbpf-dev, unpacked
beside the guests. /usr/include itself would bring the host's other headers with it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from droidheaders.cache import Cache

HOST = Path("/usr/include/bpf")
_PLACE = ".libbpf"
_SAMPLE = "bpf_helpers.h"
_ARCH = {"x86": "x86_64"}


def beside(bundle: str) -> str:
    """Return the directory that holds bpf/, for the bundle at that path."""
    return f"{bundle}/../{_PLACE}"


def link(cache: Cache, arch: str, *, fetch: bool) -> bool:
    """See to it that the place leads to libbpf's headers; return whether it does.

    `arch` is the kernel's name of an architecture. Without `fetch` nothing is downloaded. Raises
    DroidheadersError when the packages cannot be had, or the cache cannot be written.
    """
    here = cache.kernels / _PLACE / "bpf"
    there = HOST if (HOST / _SAMPLE).is_file() else None
    if there is None and (here / _SAMPLE).is_file():
        return True
    if there is None:
        from droidheaders.debian.arch import DEBIAN_ARCH, host_arch
        from droidheaders.debian.sysroot import place, sysroot

        named = _ARCH.get(arch, arch)
        named = named if named in DEBIAN_ARCH else host_arch()
        if not fetch and not place(named).is_dir():
            return False
        there = sysroot(named) / "usr/include/bpf"
    if here.is_symlink() and os.readlink(here) == str(there):
        return True
    from droidheaders.cache.disk import disk_errors

    with disk_errors(cache.root):
        here.parent.mkdir(parents=True, exist_ok=True)
        new = here.with_name(f".{os.urandom(4).hex()}")
        new.symlink_to(there)
        new.replace(here)
    return True
