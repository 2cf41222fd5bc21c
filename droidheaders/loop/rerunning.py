"""Run what a change touches, whenever there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from droidheaders.errors import DroidheadersError
from droidheaders.loop.plan import Plan
from droidheaders.loop.results import Case, Report
from droidheaders.loop.touched import touched
from droidheaders.ui import printable, ui

_NAMED = 3


class Watches(Protocol):
    """What tells changes: `watching.Changes`."""

    def wait(self) -> set[Path]:
        """Return what changed, once something did."""

    def until_now(self) -> set[Path]:
        """Return what changed, without waiting for it."""


def rerun(
    changes: Watches,
    load: Callable[[], tuple[Plan, list[Case]]],
    run: Callable[[Plan, Sequence[Case]], Report],
    complain: Callable[[DroidheadersError], None],
) -> Report:
    """Run all cases, then those that a change touches, again and again until a run is interrupted.

    Returns the report of that one. The spec is loaded each time. Raises DroidheadersError when it
    cannot be run the first time; later that is handed to `complain`, and the next change tried.
    """
    first = True
    changed: set[Path] = set()
    written: set[Path] = set()
    while True:
        try:
            plan, cases = load()
            wanted = cases if first else touched(plan, cases, changed, written)
            report = run(plan, wanted) if wanted else None
        except DroidheadersError as error:
            if first:
                raise
            complain(error)
        else:
            first, changed, written = False, set(), set()
            if report is not None and report.interrupted:
                return report
            if _has_command(plan, wanted) and (written := changes.until_now()):
                _tell_written(written)
                continue
        ui.say("waiting for changes; Ctrl-C ends it")
        changed |= changes.wait()
        ui.say(f"changed: {_listed(changed)}")


def _has_command(plan: Plan, cases: Sequence[Case]) -> bool:
    commands = {test.name for test in plan.tests if test.kind == "host"}
    return any(case.test in commands for case in cases)


def _tell_written(written: set[Path]) -> None:
    ui.say(
        f"changed while a command ran, which is not run again for it: {_listed(written)};"
        " save once more what you edited meanwhile"
    )


def _listed(paths: set[Path]) -> str:
    names = [printable(path.name) for path in sorted(paths)]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
