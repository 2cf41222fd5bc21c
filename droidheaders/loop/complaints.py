"""What the kernel complained of in a test, each kind of complaint once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace

from droidheaders.loop.results import Complaint
from droidheaders.run.splat import Splat, splats

_TOP = 5  # frames that tell one complaint from another
_NUMBERS = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+")


def complaints(log: Iterable[str]) -> tuple[Complaint, ...]:
    """Return the complaints in a kernel's log or on a console, in the order of their first."""
    found: dict[str, Complaint] = {}
    for splat in splats(log):
        mark = fingerprint(splat)
        if mark in found:
            found[mark] = replace(found[mark], count=found[mark].count + 1)
        else:
            found[mark] = Complaint(mark, splat.kind, splat.title, splat.frames, splat.module)
    return tuple(found.values())


def fingerprint(splat: Splat) -> str:
    """Return what the same complaint has in each build and boot: 12 hex digits.

    Of its kind and the functions of its top frames; where none are known, of what it says, without
    numbers and addresses.
    """
    top = splat.functions[:_TOP] or (_NUMBERS.sub("#", splat.title),)
    return hashlib.sha256("\0".join((splat.kind, *top)).encode()).hexdigest()[:12]
