"""The application: global options, the commands, and the one place where errors become words."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated, Any

import typer

from droidheaders import __version__
from droidheaders.cli import _lazily
from droidheaders.cli.settings import SCHEMA, report, settings
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.ui import ui

EPILOG = "Global options may stand before or after the command. Manual: man droidheaders."

_COMMANDS = {
    "devices": "devices:devices",
    "check": "check:check",
    "pull": "pull:pull",
    "flags": "flags:flags",
    "env": "flags:env",
    "kdir": "kdir:kdir",
    "build": "build:app",
    "btf": "btf:btf",
    "symvers": "symvers:symvers",
    "run": "running:app",
    "push": "push:app",
    "cache": "caches:app",
    "loop": "loop:loop",
    "emulator": "emulator:app",
}

app = typer.Typer(
    name="droidheaders",
    cls=_lazily.group(_COMMANDS),
    help="The headers of whatever kernel is running behind adb, for building on this host.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_INTERRUPTED = 130
_TERMINATED = 128 + signal.SIGTERM

# click's exceptions are vendored in some releases of typer and imported in others.
_ClickException: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"droidheaders {__version__}")
        raise typer.Exit


@app.callback()
def options(
    serial: Annotated[
        str | None, typer.Option("-s", "--serial", help="Device with this serial.")
    ] = None,
    transport: Annotated[
        int | None, typer.Option("-t", "--transport-id", help="Device with this transport id.")
    ] = None,
    usb: Annotated[bool, typer.Option("-d", "--usb", help="The one USB device.")] = False,
    tcp: Annotated[
        bool, typer.Option("-e", "--tcp", help="The one emulator or TCP device.")
    ] = False,
    host: Annotated[
        str | None, typer.Option("-H", "--host", help="Host of the adb server.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("-P", "--port", help="Port of the adb server.")
    ] = None,
    socket: Annotated[
        str | None, typer.Option("-L", "--socket", help="Socket of the adb server: tcp:HOST:PORT.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, errors too.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only errors on stderr.")] = False,
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Say more; -vv with tracebacks.")
    ] = 0,
    progress: Annotated[
        bool | None, typer.Option("--progress/--no-progress", help="Progress bars on stderr.")
    ] = None,
    color: Annotated[
        bool | None, typer.Option("--color/--no-color", help="Colour on stderr (see NO_COLOR).")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.1, help="Seconds a silent device may take; else 30."),
    ] = None,
    cache_dir: Annotated[
        str | None, typer.Option("--cache-dir", help="The cache, else $DROIDHEADERS_CACHE.")
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Note the global options for the command that follows."""
    ui.verbosity = -1 if quiet else verbose
    ui.progress, ui.color = progress, color
    settings.serial, settings.transport_id = serial, transport
    settings.usb, settings.tcp = usb, tcp
    settings.host, settings.port, settings.socket = host, port, socket
    settings.json, settings.timeout, settings.cache_dir = as_json, timeout, cache_dir


@functools.cache
def _command() -> Any:
    """Return the command line as click runs it, which takes 20 ms to build."""
    return typer.main.get_command(app)


def run(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its documented status."""
    signal.signal(signal.SIGTERM, _terminated)
    arguments = hoist(sys.argv[1:] if argv is None else argv)
    try:
        status = _command()(arguments, prog_name="droidheaders", standalone_mode=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as e:
        status = _status(e, "--json" in arguments)
    if status == _INTERRUPTED:  # typer itself may have made a status of Ctrl-C
        ui.say("interrupted")
    sys.exit(status if isinstance(status, int) else 0)


def _status(error: BaseException, as_json: bool) -> int:
    """Say what went wrong and return the documented status; a bug of ours is raised again."""
    if status := _INTERRUPTED if isinstance(error, typer.Abort) else _while_ended(error):
        return status
    if isinstance(error, DroidheadersError):
        return _fail(error, as_json)
    if isinstance(error, _ClickException):
        return _usage(error, as_json)
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader of stdout had enough
        return 0
    raise error


def _while_ended(error: BaseException | None) -> int:
    """Return the status of Ctrl-C or SIGTERM when this is one, or went wrong while it was obeyed.

    A clean-up that fails then is taken up by the next run, from the journal. Else returns 0.
    """
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return _INTERRUPTED
        if isinstance(error, SystemExit) and error.code == _TERMINATED:
            return _TERMINATED
        error = error.__context__
    return 0


def hoist(arguments: list[str]) -> list[str]:
    """Move global options to the front, so that they may stand behind the command too.

    What follows `--` is left alone.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    takes_value = {
        flag: not getattr(p, "is_flag", False) and not getattr(p, "count", False)
        for p in _command().params
        for flag in (*p.opts, *p.secondary_opts)
    }
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments[:end])
    for word in words:
        flag = word.partition("=")[0] if word.startswith("--") else word[:2]
        if flag not in takes_value:
            rest.append(word)
            continue
        front.append(word)
        if takes_value[flag] and word == flag:
            front.extend(value for value in [next(words, None)] if value is not None)
    return front + rest + arguments[end:]


def _fail(error: DroidheadersError, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"schema": SCHEMA, "error": error.describe()}), flush=True)
    report(error)
    if ui.verbosity >= 2:
        traceback.print_exception(error)
    return error.exit_code


def _usage(error: Any, as_json: bool) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # a group alone: its message is its help
        print(error.format_message(), file=sys.stderr)
        return UsageError.exit_code
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "droidheaders"
    return _fail(UsageError(error.format_message(), f"{command} --help"), as_json)


def _terminated(signum: int, _frame: FrameType | None) -> None:
    signal.signal(signum, signal.SIG_IGN)  # once is enough: the clean-up must not be cut short
    raise SystemExit(_TERMINATED)
