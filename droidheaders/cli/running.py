"""`droidheaders run`: take what was built to the device, and back what happened."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from droidheaders.cli.settings import report, settings
from droidheaders.errors import DeviceLostError, UsageError

if TYPE_CHECKING:
    from droidheaders.adb import Piece

app = typer.Typer(no_args_is_help=True, help="Run what was built on the device.")


class User(StrEnum):
    """As whom something is run."""

    root = "root"
    shell = "shell"


AsUser = Annotated[
    User | None,
    typer.Option("--user", help="As root, or as adb's shell; else as root where there is root."),
]


@app.command(name="exec")
def exec_(
    program: Annotated[
        Path, typer.Argument(help="A program on this host, for the device.", metavar="BIN")
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="What it is called with.", metavar="[-- ARGS...]")
    ] = None,
    user: AsUser = None,
    seconds: Annotated[
        float | None,
        typer.Option("--for", min=0.1, help="End it after so long, with status 6."),
    ] = None,
    lost_status: Annotated[
        int,
        typer.Option(
            "--lost-status", min=0, max=255, help="The exit status when the device is lost."
        ),
    ] = DeviceLostError.exit_code,
) -> None:
    """Push a program, run it on the device, and exit with its status.

    Its stdin, stdout and stderr are those of this command; Ctrl-C reaches it as SIGINT. Nothing of
    it is left on the device.

    Examples:

      droidheaders run exec ./opensnoop -- -d 10

      droidheaders run exec --user shell ./probe <input >output

      droidheaders run exec --for 60 --lost-status 99 ./stress -- --all
    """
    from droidheaders.run.execution import execute

    if settings.json:
        raise UsageError("what run exec prints is the program's own", "leave --json out")
    try:
        status = execute(
            settings.device(),
            program,
            arguments or [],
            _write,
            stdin=_stdin(),
            who=user.value if user else None,
            seconds=seconds,
        )
    except DeviceLostError as e:
        report(e)
        raise typer.Exit(lost_status) from e
    raise typer.Exit(status)


def _stdin() -> int | None:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # it was closed before we began
        return None


def _write(piece: Piece) -> None:
    """Write what the program wrote to where it meant it to go, byte for byte."""
    stream = (sys.stderr if piece.error else sys.stdout).buffer
    stream.write(piece.data)
    stream.flush()
