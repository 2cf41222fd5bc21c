"""What is known of a kernel's complaints, out of files: which are harmless, and what else is not.

[[splat]]                        [[line]]
kind = "warning"                 pattern = "clocksource .* unstable"
frame = "^broken_driver_"        reason = "the board's timer is wrong then"
kernel = "5.10.*"
reason = "fixed in 5.15"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from droidheaders.loop.fingerprint import fingerprint
from droidheaders.loop.table import Table, listed, read
from droidheaders.run.splat import KINDS, Splat

T = TypeVar("T")

_KINDS = frozenset(kind for kind, _ in KINDS)
_MARK = re.compile(r"[0-9a-f]{12}")
_LONGEST = 4096  # characters of a line that are looked at


@dataclass(frozen=True)
class Allowed:
    """A complaint that fails no test: one that all of this fits, which is None where all may."""

    reason: str
    kind: str | None = None
    title: re.Pattern[str] | None = None
    frame: re.Pattern[str] | None = None
    mark: str | None = None
    kernel: str | None = None

    def fits(self, splat: Splat, release: str) -> bool:
        """Tell whether it is this complaint, of a kernel of that release."""
        return (
            self.kind in (None, splat.kind)
            and self.mark in (None, fingerprint(splat))
            and (self.kernel is None or fnmatchcase(release, self.kernel))
            and (self.title is None or self.title.search(splat.title) is not None)
            and (self.frame is None or any(map(self.frame.search, splat.functions)))
        )


@dataclass(frozen=True)
class Denied:
    """A line of the kernel's log that fails a test, though it is no complaint by itself."""

    pattern: re.Pattern[str]
    reason: str


@dataclass(frozen=True)
class Known:
    """All that is known."""

    allowed: tuple[Allowed, ...] = ()
    denied: tuple[Denied, ...] = ()

    def allows(self, splat: Splat, release: str) -> str:
        """Return why the complaint is harmless, "" where it is not known to be."""
        return next((one.reason for one in self.allowed if one.fits(splat, release)), "")

    def denies(self, log: Iterable[str]) -> list[tuple[str, Denied]]:
        """Return the lines that must not be, each with the first entry that says so."""
        if not self.denied:
            return []
        texts = (line[:_LONGEST] for line in log)
        fits = (next(((t, d) for d in self.denied if d.pattern.search(t)), None) for t in texts)
        return [one for one in fits if one]


def load(allow: Sequence[Path], deny: Sequence[Path]) -> Known:
    """Return what the files say; UsageError names the file and the key that is wrong."""
    return Known(
        tuple(one for path in allow for one in _entries(path, "splat", _allowed)),
        tuple(one for path in deny for one in _entries(path, "line", _denied)),
    )


def _entries(path: Path, key: str, parse: Callable[[Table], T]) -> list[T]:
    table = read(path)
    found = table.entries(key)
    table.close()
    return [parse(one) for one in found]


def _allowed(table: Table) -> Allowed:
    kind = table.take("kind", f"one of {listed(_KINDS)}", _KINDS.__contains__, None)
    mark = table.take("fingerprint", "12 hex digits, as a report has them", _is_mark, None)
    kernel = table.text("kernel") or None
    title, frame = table.pattern("title"), table.pattern("frame")
    reason = _reason(table)
    table.close()
    if kind is title is frame is mark is None:
        raise table.wrong("kind", "is missing, and title, frame and fingerprint: it fits them all")
    return Allowed(reason, kind, title, frame, mark, kernel)


def _denied(table: Table) -> Denied:
    pattern, reason = table.pattern("pattern"), _reason(table)
    table.close()
    if pattern is None:
        raise table.wrong("pattern", "is missing: which lines are meant")
    return Denied(pattern, reason)


def _reason(table: Table) -> str:
    if not (reason := table.text("reason")):
        raise table.wrong("reason", "is missing: a report has it, for who reads that")
    return reason


def _is_mark(value: object) -> bool:
    return isinstance(value, str) and _MARK.fullmatch(value) is not None
