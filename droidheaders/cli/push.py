"""`droidheaders push`."""

from __future__ import annotations

from typing import Annotated

import typer

from droidheaders.cli.cache import names
from droidheaders.cli.settings import emit, settings
from droidheaders.errors import UsageError
from droidheaders.ui import printable, ui

app = typer.Typer(help="Put headers onto a device.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Put headers onto a device."""


@app.command()
def headers(
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="DIR", help="Directory on the device, which is made."),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove what was pushed, from wherever it is.")
    ] = False,
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle", metavar="NAME", help="These, whatever kernel runs.", autocompletion=names
        ),
    ] = None,
) -> None:
    """Put the cached headers where BCC and bpftrace on the device find them; print the directory.

    That is /lib/modules/RELEASE/build where that can be made, else a directory in /data/local/tmp,
    which BCC_KERNEL_SOURCE has to name. Nothing is sent when they are there already.

    Examples:

      droidheaders pull && droidheaders push headers

      droidheaders push headers --to /data/headers

      droidheaders push headers --remove
    """
    from droidheaders import pushing

    device = settings.device()
    name = printable(device.serial)
    if remove:
        if bundle is not None:
            raise UsageError(
                "--remove removes whatever was pushed, and --bundle names what to push",
                "droidheaders push headers --remove",
            )
        gone = pushing.remove_headers(device, to=to)
        if not gone:
            ui.say(f"{name}: no headers were there to be removed")
        emit({"serial": device.serial, "removed": gone}, "\n".join(gone))
        return
    done = pushing.push_headers(device, settings.cache(), to=to, bundle=bundle)
    files = done.bundle.meta["headers"]["files"]
    how = "there already" if done.cached else "sent"
    ui.say(f"{name}: {files} headers of {done.bundle.kernel}, {how}")
    if not done.found:
        ui.say(f"export BCC_KERNEL_SOURCE={done.path} BPFTRACE_KERNEL_SOURCE={done.path}")
    emit(
        {
            "serial": device.serial,
            "path": done.path,
            "bundle": done.bundle.name,
            "cached": done.cached,
            "environment": {}
            if done.found
            else {"BCC_KERNEL_SOURCE": done.path, "BPFTRACE_KERNEL_SOURCE": done.path},
        },
        done.path,
    )
