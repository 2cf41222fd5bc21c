"""`droidheaders loop`: run tests on many kernels, and say what came of each."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from droidheaders.cli.settings import settings
from droidheaders.errors import UsageError
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.loop.plan import Plan
    from droidheaders.loop.results import Case, Report
    from droidheaders.loop.schedule import How


class Format(StrEnum):
    """What is printed."""

    pretty = "pretty"
    ktap = "ktap"
    json = "json"


class Like(StrEnum):
    """Whose exit statuses are meant."""

    git_bisect = "git-bisect"


def loop(
    spec: Annotated[Path, typer.Argument(help="What runs where.", metavar="SPEC.toml")],
    jobs: Annotated[int, typer.Option(min=1, max=1000, help="So many at once.")] = 1,
    repeat: Annotated[int, typer.Option(min=1, help="All of it so often.")] = 1,
    filter_: Annotated[
        str | None,
        typer.Option(
            "--filter",
            help="Only cases whose name has this in it, or matches it: TARGET/PERSONA/TEST.",
            metavar="PATTERN",
        ),
    ] = None,
    shuffle: Annotated[
        int | None, typer.Option(help="In an order of its own for each seed.", metavar="SEED")
    ] = None,
    until_fail: Annotated[
        bool, typer.Option("--until-fail", help="Again and again, --repeat times at most.")
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Begin nothing more once something failed.")
    ] = False,
    retry_lost: Annotated[
        bool, typer.Option("--retry-lost", help="Try again what was lost or could not be run.")
    ] = False,
    kernel: Annotated[
        Path | None,
        typer.Option(help="On this kernel, not those of the spec.", metavar="IMAGE"),
    ] = None,
    modules: Annotated[
        Path | None, typer.Option(help="Its modules: lib/modules/RELEASE.", metavar="DIR")
    ] = None,
    exit_like: Annotated[
        Like | None,
        typer.Option("--exit-like", help="0 good, 1 bad, 125 cannot tell: for git bisect run."),
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format", help="Print all of the results, in place of the directory they are in."
        ),
    ] = None,
    watch: Annotated[
        list[Path] | None,
        typer.Option(help="Run again what changes here touch; may be repeated.", metavar="PATH"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Put results and logs here, into a new directory.", metavar="DIR"),
    ] = None,
) -> None:
    """Run tests on kernels: each in a guest that nobody has used, or on an attached device.

    The spec names targets, personas and tests: docs/loops.md. What fails is tried once more, and
    both results are kept. The directory of results is printed: report.html, junit.xml and
    results.json, and the kernel's log, the console and the output of every test. --json is --format
    json. Exit status 0 when all passed or were skipped, 1 when something did not, also when it
    passed the second time. --timeout is how long each test may take.

    Examples:

      droidheaders loop kernels.toml

      droidheaders loop kernels.toml --jobs 2 --filter '6.1*'

      droidheaders loop race.toml --until-fail --output race

      droidheaders loop mine.toml --watch src --watch arch/arm64/boot/Image

      git bisect run sh -c 'make -j8 Image || exit 125;
        droidheaders loop boot.toml --kernel arch/arm64/boot/Image --exit-like git-bisect'
    """
    from droidheaders.loop import schedule
    from droidheaders.loop.matrix import cases

    if watch and (exit_like or until_fail):
        raise UsageError("--watch goes on whatever comes of a run", "leave out the other option")
    how = schedule.How(jobs, fail_fast or until_fail, retry_lost)

    def load() -> tuple[Plan, list[Case]]:
        plan = _plan(spec, kernel, modules)
        return plan, cases(plan, filter_, 1 if until_fail else repeat, shuffle)

    plan, first = load()
    place = _place(output, plan.name)
    wanted = Format.json if settings.json else format_
    once = partial(_once, seed=shuffle, how=how, wanted=wanted)
    if watch:
        report = _watch([spec, *watch], load, place, once)
    else:
        report = once(plan, _rounds(first, repeat) if until_fail else iter([first]), place)
    raise typer.Exit(
        schedule.status(report) if exit_like is None else schedule.bisect_status(report)
    )


def _write(report: Report, place: Path) -> None:
    from droidheaders.cache.disk import disk_errors
    from droidheaders.loop import html, junit, record

    with disk_errors(place, "the directory", "--output"):
        record.write(report, place / "results.json")
        junit.write(report, place / "junit.xml")
        html.write(report, place)


def _print(report: Report, place: Path, wanted: Format | None) -> None:
    """Print what is wanted to stdout, else where it is, and the summary for a person."""
    import json

    from droidheaders.loop import pretty, record, told

    if wanted == Format.json:
        print(json.dumps(record.describe(report)), flush=True)
    elif wanted == Format.ktap:
        for line in told.lines(report):
            print(line)
    elif wanted == Format.pretty:
        print(pretty.summary(report))
    else:
        print(place, flush=True)
    if wanted != Format.pretty:
        for line in pretty.summary(report).splitlines():
            ui.say(line)


def _once(
    plan: Plan,
    rounds: Iterator[list[Case]],
    place: Path,
    *,
    seed: int | None,
    how: How,
    wanted: Format | None,
) -> Report:
    """Run the rounds, write what came of them into `place`, and tell it."""
    from droidheaders.loop import schedule

    try:
        report = replace(_run(plan, rounds, place, how), seed=seed)
    except schedule.BrokenError as broken:
        report = replace(broken.report, seed=seed)
        _write(report, place)
        _print(report, place, wanted)
        raise broken.__cause__ or broken from None
    _write(report, place)
    _print(report, place, wanted)
    return report


def _watch(
    paths: list[Path],
    load: Callable[[], tuple[Plan, list[Case]]],
    place: Path,
    once: Callable[[Plan, Iterator[list[Case]], Path], Report],
) -> Report:
    """Run all, then what changes touch, each time into a directory of its own below `place`."""
    from droidheaders.cli.settings import report as complain
    from droidheaders.loop.rerunning import rerun
    from droidheaders.loop.watching import Changes

    numbers = itertools.count(1)

    def run(plan: Plan, wanted: Sequence[Case]) -> Report:
        own = place / str(next(numbers))
        own.mkdir()
        return once(plan, iter([[*wanted]]), own)

    with Changes(paths, place) as changes:
        return rerun(changes, load, run, complain)


def _plan(spec: Path, kernel: Path | None, modules: Path | None) -> Plan:
    from droidheaders.loop.own_kernel import on_kernel
    from droidheaders.loop.spec import load

    plan = load(spec)
    if settings.timeout is not None:
        tests = tuple(replace(test, timeout=None) for test in plan.tests)
        plan = replace(plan, tests=tests, timeout=settings.timeout)
    if kernel is not None:
        return on_kernel(plan, kernel, modules)
    if modules is not None:
        raise UsageError("--modules belong to a kernel of your own", "--kernel IMAGE")
    return plan


def _rounds(first: list[Case], repeat: int) -> Iterator[list[Case]]:
    """Return what is run together, one round after the other: `repeat` ones, or without end."""
    numbers = range(1, repeat + 1) if repeat > 1 else itertools.count(1)
    return ([replace(case, repetition=number) for case in first] for number in numbers)


def _run(plan: Plan, rounds: Iterator[list[Case]], place: Path, how: How) -> Report:
    """Run round after round, until one is not good; raises what preparing them does."""
    from droidheaders.loop import memory, schedule
    from droidheaders.loop.attempt import Runner
    from droidheaders.loop.progress import Progress

    first = next(rounds)
    how = replace(how, jobs=min(how.jobs, len(first)))
    memory.check(plan, how.jobs)
    runner = Runner(plan, settings.server(), settings.cache())
    runner.prepare()
    reports = []
    for planned in itertools.chain([first], rounds):
        try:
            with Progress(len(planned), how.jobs) as progress:
                reports.append(schedule.run(plan.name, planned, runner, place, progress, how))
        except schedule.BrokenError as broken:
            broken.report = schedule.joined([*reports, broken.report])
            raise
        if schedule.status(reports[-1]):
            break
    return schedule.joined(reports)


def _place(output: Path | None, name: str) -> Path:
    """Return the new directory of this run."""
    from droidheaders.state import state_dir

    if output is None:
        stamp = time.strftime("%Y%m%d-%H%M%S") + f"-{time.time_ns() // 10**6 % 1000:03d}"
        output = state_dir("loop", lasting=True) / name / stamp
    try:
        output.mkdir(parents=True)
    except OSError as e:
        shown = printable(str(output), 500)
        raise UsageError(f"cannot make {shown}: {e.strerror}", "--output ANOTHER") from e
    return output
