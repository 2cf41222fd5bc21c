"""`droidheaders run`: take what was built to the device, and back what happened."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from droidheaders.cli.settings import SCHEMA, report, settings
from droidheaders.errors import DeviceLostError, DroidheadersError, UsageError
from droidheaders.ui import ui

if TYPE_CHECKING:
    from droidheaders.adb import Piece
    from droidheaders.run.events import Event
    from droidheaders.run.verdict import Verdict

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
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect",
            help="Fail unless a line matches, in 10 seconds or --for; may be given again.",
            metavar="REGEX",
        ),
    ] = None,
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
    _end(_told(lambda: run_bpf(settings.device(), job, _show, settings.cache)))


@app.command()
def module(
    files: Annotated[
        list[Path], typer.Argument(help="Kernel modules, in any order.", metavar="KO...")
    ],
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            help="A parameter of the last one, or with MODULE. before it; may be given again.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect",
            help="Fail unless a line of the log matches, in 10 seconds or --for; may be repeated.",
            metavar="REGEX",
        ),
    ] = None,
    trigger: Annotated[
        list[str] | None,
        typer.Option(
            "--trigger",
            help="Run this on the device, as root, once all are loaded; may be given again.",
            metavar="COMMAND",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--for", min=0.1, help="Keep them loaded for so long."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave them loaded.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Try also what the kernel will not take.")
    ] = False,
) -> None:
    """Load kernel modules on the device, watch its log, unload them, and say what became of them.

    The kernel's log of that time is on stdout as it comes; with --json, one object a line, the
    verdict last. A panic, oops, warning or what a sanitizer finds meanwhile fails the run. Exit
    status 0 pass, 1 fail, 4 skip (this kernel takes no such module), 6 timeout, panic or device
    lost; an insmod that does not end is waited for as long as --timeout says.

    Examples:

      droidheaders run module hello.ko --param who=me --expect 'hello me'

      droidheaders run module core.ko driver.ko --param core.debug=1 --trigger 'cat /dev/driver'

      droidheaders run module soak.ko --for 60
    """
    from droidheaders.inserting import run_module
    from droidheaders.run.module import ModuleJob

    device = settings.device()
    job = ModuleJob(
        files=tuple(files),
        parameters=tuple(param or ()),
        expect=tuple(expect or ()),
        triggers=tuple(trigger or ()),
        seconds=seconds,
        keep=keep,
        force=force,
        patience=device.server.timeout,
    )
    _end(_told(lambda: run_module(device, job, _show_log, settings.cache)))


def _end(verdict: Verdict) -> None:
    """Tell the verdict, and exit with its status."""
    if settings.json:
        _line({"schema": SCHEMA, **verdict.describe()})
    for line in verdict.log:
        ui.say(f"  {line}", level=-1)
    _say(verdict)
    raise typer.Exit(verdict.status)


def _show_log(event: Mapping[str, Any]) -> None:
    """Print a line of the kernel's log as it comes, with --json whatever happens."""
    if settings.json:
        _line(event)
    elif event["type"] == "log":
        print(f"[{event['seconds']:12.6f}] {event['text']}", flush=True)
    elif event["type"] in ("inserted", "removed"):
        ui.say(f"{event['type']} {event['module']}")


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
        _line(dict(event))
        return
    for line in lines_of(event):
        print(line)
    sys.stdout.flush()


def _line(data: Mapping[str, Any]) -> None:
    print(json.dumps(data), flush=True)


def _told(run: Callable[[], Verdict]) -> Verdict:
    """Return the verdict; a run that could not be made has one too, beside what is wrong."""
    from droidheaders.run.verdict import of_error

    try:
        return run()
    except DroidheadersError as e:
        if not settings.json:
            raise
        _line({"schema": SCHEMA, **of_error(e).describe(), "error": e.describe()})
        report(e)
        raise typer.Exit(e.exit_code) from e


def _say(verdict: Verdict) -> None:
    colour = "32" if verdict.word == "pass" else "33" if verdict.word == "skip" else "31"
    word = verdict.word or "interrupted"
    level = 0 if verdict.word == "pass" else -1
    ui.say(f"{ui.paint(f'{word}:', colour)} {verdict.message}", level=level)
    if verdict.hint:
        ui.say(f"{ui.paint('hint:', '36')} {verdict.hint}", level=level)
