"""Run cases, several at once, and once more what failed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from droidheaders.guest.signals import uninterrupted
from droidheaders.loop.results import GOOD, Attempt, Case, Report, Result

_AGAIN = frozenset({"fail", "timeout", "panic"})
"""Verdicts that say something of the test: it is tried once more, in another guest."""


class Runs(Protocol):
    """What makes attempts: `attempt.Runner`."""

    def attempt(self, case: Case, place: Path) -> tuple[str, Attempt]:
        """Return the kernel's release and the attempt, whose files are in `place`."""

    def stop(self) -> None:
        """Have all attempts end soon."""


def run(
    name: str,
    cases: Sequence[Case],
    runner: Runs,
    directory: Path,
    tell: Callable[[Result], None],
    jobs: int = 1,
) -> Report:
    """Return what came of the cases, `jobs` at once; each is told as it comes, in its own order.

    When somebody interrupts it, attempts are ended and the report has what came before.
    """
    started, begun = time.time(), time.monotonic()
    results: dict[Case, Result] = {}
    interrupted = False
    pool = ThreadPoolExecutor(jobs)
    futures = {pool.submit(_run, case, runner, directory): case for case in cases}
    try:
        left = set(futures)
        while left:
            done, left = wait(left, return_when=FIRST_COMPLETED)
            for one in done:
                results[futures[one]] = one.result()
                tell(one.result())
    except (KeyboardInterrupt, SystemExit):
        interrupted = True
    finally:
        with suppress(KeyboardInterrupt), uninterrupted():
            pool.shutdown(wait=False, cancel_futures=True)
            if len(results) < len(cases):
                runner.stop()
            pool.shutdown()
    for one, case in futures.items():
        if not one.cancelled() and case not in results:
            results[case] = one.result()
            tell(one.result())
    found = tuple(results[case] for case in cases if case in results)
    return Report(name, started, time.monotonic() - begun, len(cases), found, interrupted)


def _run(case: Case, runner: Runs, directory: Path) -> Result:
    place = directory / safe(case.name)
    kernel, first = runner.attempt(case, _made(place / "1"))
    attempts = [first]
    if first.verdict.word in _AGAIN:
        again, second = runner.attempt(case, _made(place / "2"))
        kernel = kernel or again
        attempts.append(second)
    return Result(case, kernel, tuple(attempts))


def _made(place: Path) -> Path:
    place.mkdir(parents=True)
    return place


def safe(name: str) -> str:
    """Return a case's name as that of a directory."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-") or "case"


def status(report: Report) -> int:
    """Return the exit status: 130 interrupted, 1 where something is not good, else 0."""
    if report.interrupted:
        return 130
    words = {attempt.verdict.word for one in report.results for attempt in one.attempts}
    return 0 if words <= GOOD else 1
