"""The cases of a plan: each test, on each target it is for, as each persona."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from droidheaders.errors import UsageError
from droidheaders.loop.plan import Plan
from droidheaders.loop.results import Case
from droidheaders.ui import printable


def cases(plan: Plan, wanted: str | None = None, repeat: int = 1) -> list[Case]:
    """Return what is to be run, in the order of the spec, all of it `repeat` times.

    `wanted` is a pattern of the shell for a case's name, or a part of that. Raises UsageError when
    nothing is left.
    """
    found = [
        Case(target.name, persona, test.name, number)
        for number in range(1, repeat + 1)
        for target in plan.targets
        for persona in target.personas
        for test in plan.tests
        if not test.targets or target.name in test.targets
    ]
    if wanted is None:
        return found
    left = [one for one in found if _fits(replace(one, repetition=1).name, wanted)]
    if not left:
        raise UsageError(
            f"no case of {printable(str(plan.path), 500)} is called {printable(wanted)}, such as"
            f" {printable(found[0].name)} is",
            f"leave --filter out: there are {len(found)}",
        )
    return left


def _fits(name: str, wanted: str) -> bool:
    return wanted in name or fnmatchcase(name, wanted)
