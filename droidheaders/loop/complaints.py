"""What the kernel complained of in a test, each kind of complaint once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from droidheaders.loop.fingerprint import fingerprint
from droidheaders.loop.known import Known
from droidheaders.loop.results import Complaint
from droidheaders.run.splat import splats
from droidheaders.ui import printable

_MOST = 1000  # complaints that are counted


def complaints(log: Sequence[str], known: Known, release: str) -> tuple[Complaint, ...]:
    """Return the complaints in a kernel's log or on a console, in the order of their first.

    Those that `known` allows have its reason; what it denies is a complaint as well.
    """
    found: dict[str, Complaint] = {}
    for splat in splats(log, _MOST):
        why = known.allows(splat, release)
        _count(
            found,
            Complaint(
                fingerprint(splat), splat.kind, splat.title, splat.frames, splat.module, allowed=why
            ),
        )
    for line, denied in known.denies(log):
        mark = hashlib.sha256(denied.pattern.pattern.encode()).hexdigest()[:12]
        title = f"{printable(line.strip())}: {printable(denied.reason)}"
        _count(found, Complaint(mark, "denied", title))
    return tuple(found.values())


def _count(found: dict[str, Complaint], one: Complaint) -> None:
    before = found.get(one.fingerprint)
    if before is None or (before.allowed and not one.allowed):
        found[one.fingerprint] = replace(one, count=before.count + 1 if before else 1)
    else:
        found[one.fingerprint] = replace(before, count=before.count + 1)
