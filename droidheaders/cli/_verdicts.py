"""How a run ends: its verdict on the terminal or as JSON, and the exit status."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from droidheaders.cli.settings import SCHEMA, report, settings
from droidheaders.errors import DroidheadersError
from droidheaders.ui import ui

if TYPE_CHECKING:
    from droidheaders.run.verdict import Verdict

Expect = Annotated[
    list[str] | None,
    typer.Option(
        "--expect",
        help="Fail unless a line matches, in 10 seconds or --for; may be given again.",
        metavar="REGEX",
    ),
]


def end(verdict: Verdict) -> None:
    """Tell the verdict, and exit with its status."""
    if settings.json:
        line({"schema": SCHEMA, **verdict.describe()})
    for text in verdict.log:
        ui.say(f"  {text}", level=-1)
    _say(verdict)
    raise typer.Exit(verdict.status)


def told(run: Callable[[], Verdict]) -> Verdict:
    """Return the verdict; a run that could not be made has one too, beside what is wrong."""
    from droidheaders.run.verdict import of_error

    try:
        return run()
    except DroidheadersError as e:
        if not settings.json:
            raise
        line({"schema": SCHEMA, **of_error(e).describe(), "error": e.describe()})
        report(e)
        raise typer.Exit(e.exit_code) from e


def line(data: Mapping[str, Any]) -> None:
    """Print an object as a line of JSON, at once."""
    print(json.dumps(data), flush=True)


def _say(verdict: Verdict) -> None:
    colour = "32" if verdict.word == "pass" else "33" if verdict.word == "skip" else "31"
    word = verdict.word or "interrupted"
    level = 0 if verdict.word == "pass" else -1
    ui.say(f"{ui.paint(f'{word}:', colour)} {verdict.message}", level=level)
    if verdict.hint:
        ui.say(f"{ui.paint('hint:', '36')} {verdict.hint}", level=level)
