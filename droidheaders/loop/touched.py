"""Which cases a change on the disk has to do with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import fields
from pathlib import Path

from droidheaders.loop.plan import Plan, Target, Test
from droidheaders.loop.results import Case


def touched(
    plan: Plan, cases: Sequence[Case], changed: Set[Path], written: Set[Path] = frozenset()
) -> list[Case]:
    """Return the cases that what `changed` has to do with, in their order.

    Those are all when it is the spec or what that allows and denies, those of a target when it is
    its kernel, and those of a test when it is its source, is in that, or is a header beside a BPF
    source. What a command of the host reads is not known, so it has to do with all that changed;
    but not with what was `written` while such a command ran, which may have been itself.
    """
    either = changed | written
    targets = {one.name: _is_in(_paths(one), either) for one in plan.targets}
    tests = {one.name: _is_of(one, either) for one in plan.tests}
    commands = {one.name for one in plan.tests if one.kind == "host"}
    everything = _is_in(_paths(plan), either)

    def is_touched(case: Case) -> bool:
        if case.test in commands:
            return bool(changed)
        return everything or targets[case.target] or tests[case.test]

    return [case for case in cases if is_touched(case)]


def _is_of(test: Test, changed: Set[Path]) -> bool:
    if _is_in(_paths(test), changed):
        return True
    if test.kind != "bpf" or test.source is None or test.source.suffix != ".c":
        return False
    headers = {path for path in changed if path.suffix == ".h"}
    return any(directory in path.parents for path in headers for directory in _beside(test.source))


def _paths(record: Plan | Target | Test) -> Iterator[Path]:
    """Return the files and directories that a record names."""
    for field in fields(record):
        value = getattr(record, field.name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, Path):
                yield one


def _is_in(paths: Iterator[Path], changed: Set[Path]) -> bool:
    """Tell whether a path, something in it, or a directory that it is in changed."""
    names = {name for path in paths for name in _names(path)}
    return any(
        one == name or name in one.parents or one in name.parents
        for one in changed
        for name in names
    )


def _names(path: Path) -> set[Path]:
    """Return what a change of it may be named: where a link leads, and the link itself."""
    return {path.resolve(), path.parent.resolve() / path.name}


def _beside(path: Path) -> set[Path]:
    return {name.parent for name in _names(path)}
