"""What tells one complaint of a kernel from another, whichever build and boot it comes from."""

from __future__ import annotations

import hashlib
import re

from droidheaders.run.splat import Splat

_TOP = 5  # frames that tell one complaint from another
_ADDRESS = re.compile(r"(?:0x)?[0-9a-f]{16}")
# What compilers add to the names of functions that they split or specialise, and Clang's LTO.
_ADDED = re.compile(r"(?<=.)\.(?:isra|constprop|part|cold|llvm|__uniq|cfi|cfi_jt)\b.*")
_VARYING = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+")


def fingerprint(splat: Splat) -> str:
    """Return what the same complaint has in each build and boot: 12 hex digits.

    Of its kind and the functions of its top frames, but for those of which only an address is
    known; where none are, of what it says, without numbers and addresses.
    """
    names = [_ADDED.sub("", name) for name in splat.functions if not _ADDRESS.fullmatch(name)]
    top = names[:_TOP] or [_VARYING.sub("#", splat.title)]
    return hashlib.sha256("\0".join((splat.kind, *top)).encode()).hexdigest()[:12]
