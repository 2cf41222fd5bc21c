"""`droidheaders run module`: load modules on the device, and back what happened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from droidheaders.cli._verdicts import Expect, end, line, told
from droidheaders.cli.settings import settings
from droidheaders.ui import ui


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
    expect: Expect = None,
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
    end(told(lambda: run_module(device, job, _show_log, settings.cache)))


def _show_log(event: Mapping[str, Any]) -> None:
    """Print a line of the kernel's log as it comes, with --json whatever happens."""
    if settings.json:
        line(event)
    elif event["type"] == "log":
        print(f"[{event['seconds']:12.6f}] {event['text']}", flush=True)
    elif event["type"] in ("inserted", "removed"):
        ui.say(f"{event['type']} {event['module']}")
