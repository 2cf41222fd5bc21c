"""The cases of a plan: each test, on each target it is for, as each persona."""

from __future__ import annotations

import random
from dataclasses import replace
from fnmatch import fnmatchcase

from droidheaders.errors import UsageError
from droidheaders.loop.plan import Plan
from droidheaders.loop.results import Case
from droidheaders.ui import printable


def cases(
    plan: Plan, wanted: str | None = None, repeat: int = 1, seed: int | None = None
) -> list[Case]:
    """Return what is to be run, all of it `repeat` times, in the order of the spec or of `seed`.

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
    left = [
        one for one in found if wanted is None or _fits(replace(one, repetition=1).name, wanted)
    ]
    if not left:
        raise UsageError(
            f"no case of {printable(str(plan.path), 500)} is called {printable(wanted or '')}, such"
            f" as {printable(found[0].name)} is",
            f"leave --filter out: there are {len(found)}",
        )
    if seed is not None:
        random.Random(seed).shuffle(left)
    return left


def _fits(name: str, wanted: str) -> bool:
    return wanted in name or fnmatchcase(name, wanted)
