"""What came of a run in a test: its verdict, and what was seen of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from droidheaders.errors import DroidheadersError
from droidheaders.run.verdict import Verdict, Word, of_error
from droidheaders.testing import ending

_KEPT = 100_000
"""Events, and lines: of a flood the last ones."""

DEFAULT_TIME = 1.0
"""Seconds that a program is watched where nothing is expected and no time is given."""

Words = str | Sequence[str]
Sink = Callable[[Mapping[str, Any]], None]


def words(given: Words) -> tuple[str, ...]:
    """Return one word or several as several."""
    return (given,) if isinstance(given, str) else tuple(given)


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    `events` are those of `droidheaders run --json` without the verdict, `lines` what it prints.
    """

    verdict: Verdict
    events: Sequence[Mapping[str, Any]] = ()
    lines: Sequence[str] = ()


def of_run(
    run: Callable[[Sink], Verdict], lines_of: Callable[[Any], Sequence[str]], wanted: Word
) -> Outcome:
    """Return what came of `run`, which gets what its events go to.

    Unless its verdict is `wanted`, the test that runs fails with it, or is skipped where it is that
    the kernel cannot.
    """
    __tracebackhide__ = True
    events: deque[Mapping[str, Any]] = deque(maxlen=_KEPT)
    lines: deque[str] = deque(maxlen=_KEPT)

    def sink(event: Mapping[str, Any]) -> None:
        events.append(event)
        lines.extend(lines_of(event))

    try:
        verdict = run(sink)
    except DroidheadersError as error:
        verdict = of_error(error)
    if verdict.word is None:
        raise KeyboardInterrupt
    if verdict.word == wanted:
        return Outcome(verdict, tuple(events), tuple(lines))
    if verdict.word == "skip":
        pytest.skip(verdict.message)
    instead = f", and {wanted} was expected" if wanted != "pass" else ""
    sentence = f"{verdict.word}: {verdict.message}{instead}"
    pytest.fail(ending.text(sentence, verdict.hint, verdict.log or tuple(lines)))
