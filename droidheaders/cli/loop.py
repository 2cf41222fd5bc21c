"""`droidheaders loop`: run tests on many kernels, and say what came of each."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from droidheaders.cli.settings import settings
from droidheaders.errors import UsageError
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.loop.results import Result


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
    output: Annotated[
        Path | None,
        typer.Option(help="Put results and logs here, into a new directory.", metavar="DIR"),
    ] = None,
) -> None:
    """Run tests on kernels: each in a guest that nobody has used, or on an attached device.

    The spec names targets, personas and tests: docs/loops.md. What fails is tried once more, and
    both results are kept. The directory of results is printed, with the kernel's log, the console
    and the output of every test in it; with --json, results.json itself. Exit status 0 when all
    passed or were skipped, 1 when something did not, also when it passed the second time.

    Examples:

      droidheaders loop kernels.toml

      droidheaders loop kernels.toml --jobs 2 --filter '6.1*'

      droidheaders loop race.toml --repeat 20 --output race
    """
    import json

    from droidheaders.loop import memory, pretty, record, schedule
    from droidheaders.loop.attempt import Runner
    from droidheaders.loop.matrix import cases
    from droidheaders.loop.spec import load

    plan = load(spec)
    planned = cases(plan, filter_, repeat)
    jobs = min(jobs, len(planned))
    memory.check(plan, jobs)
    place = _place(output, plan.name)
    runner = Runner(plan, settings.server(), settings.cache())
    runner.prepare()
    report = schedule.run(plan.name, planned, runner, place, _tell, jobs)
    record.write(report, place / "results.json")
    if settings.json:
        print(json.dumps(record.describe(report)))
    else:
        print(place)
    for line in pretty.summary(report).splitlines():
        ui.say(line)
    raise typer.Exit(schedule.status(report))


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


def _tell(result: Result) -> None:
    """Say what came of a case, as it comes."""
    from droidheaders.loop import pretty

    word = ui.paint(pretty.told(result), pretty.colour(result.word))
    ui.say(f"{word}  {result.case.name}  {result.kernel}  {result.seconds:.1f} s")
