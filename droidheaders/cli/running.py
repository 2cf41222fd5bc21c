"""`droidheaders run`: take what was built to the device, and back what happened."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from droidheaders.cli import run_module
from droidheaders.cli._verdicts import Expect, end, line, told
from droidheaders.cli.settings import report, settings
from droidheaders.errors import DeviceLostError, UsageError

if TYPE_CHECKING:
    from droidheaders.adb import Piece
    from droidheaders.run.events import Event

app = typer.Typer(no_args_is_help=True, help="Run what was built on the device.")


class User(StrEnum):
    """As whom something is run."""

    root = "root"
    shell = "shell"


class LoadedBy(StrEnum):
    """What loads an object."""

    own = "own"
    bpftool = "bpftool"


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


@app.command()
def bpf(
    program: Annotated[Path, typer.Argument(help="A BPF object for libbpf.", metavar="OBJ")],
    seconds: Annotated[
        float | None,
        typer.Option("--for", min=0.1, help="Watch it for so long; else until Ctrl-C."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", help="End when a line matches.", metavar="REGEX"),
    ] = None,
    expect: Expect = None,
    trigger: Annotated[
        list[str] | None,
        typer.Option(
            "--trigger",
            help="Run this on the device once all is attached; may be given again.",
            metavar="COMMAND",
        ),
    ] = None,
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="Print a map's content at the end; with =KEY:VALUE, put that into it first.",
            metavar="NAME[=KEY:VALUE]",
        ),
    ] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set a global variable.", metavar="VAR=VALUE"),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event", help="What the samples of a buffer are, by type.", metavar="MAP=STRUCT"
        ),
    ] = None,
    interface: Annotated[
        str | None,
        typer.Option("--interface", help="Where xdp and tc are attached.", metavar="IF"),
    ] = None,
    cgroup: Annotated[
        str | None,
        typer.Option("--cgroup", help="Where cgroup programs are attached.", metavar="PATH"),
    ] = None,
    pid: Annotated[
        int | None, typer.Option("--pid", min=1, help="The process of uprobes and perf events.")
    ] = None,
    pin: Annotated[
        str | None,
        typer.Option("--pin", help="Leave all pinned here, in bpffs, and attached.", metavar="DIR"),
    ] = None,
    loader: Annotated[
        LoadedBy, typer.Option("--loader", help="Ours, or the device's own bpftool.")
    ] = LoadedBy.own,
    user: AsUser = None,
) -> None:
    """Load a BPF object on the device, attach it, watch it fire, and say what became of it.

    What programs print, their records and iterators, and the maps at the end are on stdout as they
    come; with --json, one object a line, the verdict last. Exit status 0 pass, 1 fail, 4 skip (this
    kernel cannot), 6 timeout, panic or device lost.

    Examples:

      droidheaders run bpf trace.bpf.o

      droidheaders run bpf trace.bpf.o --expect 'pid=\\d+' --trigger 'ls /data'

      droidheaders run bpf count.bpf.o --for 5 --map counts --set target_uid=2000
    """
    from droidheaders.run.job import Job
    from droidheaders.running import run_bpf

    words = maps or []
    job = Job(
        object=program,
        variables=tuple(variables or ()),
        entries=tuple(one for one in words if "=" in one),
        dumps=tuple(one for one in words if "=" not in one),
        samples=tuple(event or ()),
        interface=interface,
        cgroup=cgroup,
        pin=pin,
        pid=pid,
        triggers=tuple(trigger or ()),
        expect=tuple(expect or ()),
        until=until,
        seconds=seconds,
        who=user.value if user else None,
        bpftool=loader == LoadedBy.bpftool,
    )
    end(told(lambda: run_bpf(settings.device(), job, _show, settings.cache)))


app.command()(run_module.module)


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


def _show(event: Event) -> None:
    """Print an event as it comes: with --json as it is, else the lines of output that it is."""
    from droidheaders.run.observing import lines_of

    if settings.json:
        line(dict(event))
        return
    for text in lines_of(event):
        print(text)
    sys.stdout.flush()
