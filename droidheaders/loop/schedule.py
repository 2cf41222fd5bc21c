"""Run cases, several at once, and once more what failed."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from droidheaders.guest.signals import uninterrupted
from droidheaders.loop.results import GOOD, Attempt, Case, Report, Result
from droidheaders.run.verdict import Word
from droidheaders.ui import ui

_AGAIN: frozenset[Word | None] = frozenset({"fail", "timeout", "panic"})
_LOST: frozenset[Word | None] = frozenset({"lost", "infra"})
_CANNOT_TELL = 125
"""What `git bisect run` takes for a commit that cannot be tested (git-bisect(1))."""


@dataclass(frozen=True)
class How:
    """How cases are run: `jobs` at once; with `fail_fast` none is begun after one that failed.

    What fails, panics or takes too long is tried once more in another guest; with `retry_lost` also
    what was lost or could not be run.
    """

    jobs: int = 1
    fail_fast: bool = False
    retry_lost: bool = False


class BrokenError(Exception):
    """A bug has ended a run: it is the cause of this, and `report` has what came before it."""

    def __init__(self, report: Report) -> None:
        super().__init__("the loop has a bug")
        self.report = report


class Shows(Protocol):
    """What shows a person how far a run is: `progress.Progress`."""

    def began(self, case: Case, attempt: int) -> None:
        """Note that an attempt begins; called in the thread that makes it."""

    def ended(self, result: Result) -> None:
        """Note what came of a case."""


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
    shows: Shows,
    how: How = How(),  # frozen
) -> Report:
    """Return what came of the cases, in their order; each is shown as it comes.

    When somebody interrupts it, attempts are ended and the report has what came before; so it is
    when something raises what is no verdict, and then BrokenError has the report.
    """
    started, begun = time.time(), time.monotonic()
    results: dict[Case, Result] = {}
    interrupted, bug = False, None
    pool = ThreadPoolExecutor(how.jobs)
    futures = {pool.submit(_run, case, runner, directory, shows, how): case for case in cases}
    left = set(futures)
    try:
        while left:
            done, left = wait(left, return_when=FIRST_COMPLETED)
            for one in done:
                results[futures[one]] = one.result()
                shows.ended(one.result())
                if how.fail_fast and not one.result().good:
                    pool.shutdown(wait=False, cancel_futures=True)
                    left = {other for other in left if not other.cancelled()}
    except (KeyboardInterrupt, SystemExit):
        interrupted = True
    except Exception as e:
        bug = e
    finally:
        # A second signal, of whatever kind, changes nothing: the first one is being obeyed.
        with suppress(KeyboardInterrupt, SystemExit), uninterrupted():
            pool.shutdown(wait=False, cancel_futures=True)
            if left or bug:
                runner.stop()
            pool.shutdown()
    for one, case in futures.items():
        if case not in results and not one.cancelled() and one.exception() is None:
            results[case] = one.result()
            shows.ended(one.result())
    found = tuple(results[case] for case in cases if case in results)
    seconds = time.monotonic() - begun
    report = Report(name, started, seconds, len(cases), found, interrupted or bug is not None)
    if bug is not None:
        raise BrokenError(report) from bug
    return report


def _run(case: Case, runner: Runs, directory: Path, shows: Shows, how: How) -> Result:
    place = directory / safe(case.name)
    with ui.aside(case.name):
        shows.began(case, 1)
        kernel, first = runner.attempt(case, _made(place / "1"))
        attempts = [first]
        if first.verdict.word in _AGAIN | (_LOST if how.retry_lost else frozenset()):
            shows.began(case, 2)
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


def joined(reports: Sequence[Report]) -> Report:
    """Return one report of several that were made one after the other."""
    first, last = reports[0], reports[-1]
    return replace(
        first,
        seconds=sum(one.seconds for one in reports),
        planned=sum(one.planned for one in reports),
        results=tuple(result for one in reports for result in one.results),
        interrupted=last.interrupted,
    )


def status(report: Report) -> int:
    """Return the exit status: 130 interrupted, 1 where something is not good, else 0."""
    if report.interrupted:
        return 130
    return 0 if all(one.good for one in report.results) else 1


def bisect_status(report: Report) -> int:
    """Return the exit status that `git bisect run` wants: 0 good, 1 bad, 125 cannot tell.

    A test that failed twice makes a kernel bad, whatever else there is. One that was flaky, lost,
    or not run, as of a kernel that does not come up, and skips alone, tell nothing. Over 127, which
    ends the bisection, when it was interrupted.
    """
    if report.interrupted:
        return 130
    if any(one.word in _AGAIN and not one.flaky for one in report.results):
        return 1
    words = {attempt.verdict.word for one in report.results for attempt in one.attempts}
    return 0 if words <= GOOD and "pass" in words else _CANNOT_TELL
