"""What a run is watched for: lines that have to come, and the one that ends it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from droidheaders.errors import UsageError
from droidheaders.ui import printable

LONGEST = 4096
"""Characters of a line that are looked at: a pattern may take long on a line without end."""


class Expectations:
    """Patterns, and which of them were seen. Nothing is kept of the lines but their number."""

    def __init__(self, expect: Sequence[str], until: str | None) -> None:
        """Take the patterns; UsageError when one is no regular expression."""
        self._missing = [_compiled(pattern, "--expect") for pattern in expect]
        self._until = None if until is None else _compiled(until, "--until")
        self.wanted = len(self._missing)
        self.ended = False
        self.lines = 0

    @property
    def missing(self) -> list[str]:
        """The patterns that no line matched so far."""
        return [pattern.pattern for pattern in self._missing]

    @property
    def met(self) -> bool:
        """Whether something was expected, and all of it came."""
        return self.wanted > 0 and not self._missing

    @property
    def has_end(self) -> bool:
        """Whether a line may end the run."""
        return self._until is not None

    def see(self, lines: Iterable[str]) -> None:
        """Look at lines of output."""
        for line in lines:
            self.lines += 1
            text = line[:LONGEST]
            if self._missing:
                self._missing = [one for one in self._missing if not one.search(text)]
            if self._until and self._until.search(text):
                self.ended = True


def _compiled(pattern: str, option: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as e:
        raise UsageError(
            f"{option} {printable(pattern)} is no regular expression: {e}",
            "write \\ before what is to stand for itself, such as \\( or \\[",
        ) from e
