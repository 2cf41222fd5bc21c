"""`droidheaders pull`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from droidheaders.cli.settings import emit, mebibytes, report, settings
from droidheaders.errors import UsageError
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.cache import Bundle
    from droidheaders.pulling import Pulled

_JUDGED = ("state", "missing", "checked_with", "unchecked", "artifacts")
_NAMED = 3


def pull(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Copy the headers to this new directory.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Transfer again what is cached already.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Pull from every device at once.")] = False,
    modules: Annotated[
        bool,
        typer.Option("--modules", help="Collect symbol tables from the device's modules too."),
    ] = False,
    boot_image: Annotated[
        bool,
        typer.Option("--boot-image", help="Collect the symbol table of its boot image too."),
    ] = False,
) -> None:
    """Pull the running kernel's headers into the cache, and print their path.

    With --modules and --boot-image the CRCs of the symbols it exports come too, for symvers.

    Examples:

      K=$(droidheaders pull)

      droidheaders pull -s emulator-5554 --json

      droidheaders pull --modules --boot-image

      droidheaders pull --output ./headers
    """
    if every:
        if modules or boot_image:
            hint = "pull with -s SERIAL --modules --boot-image, one after another"
            raise UsageError("--all pulls headers, and symbol tables come from one device", hint)
        _pull_all(output, refresh)
        return
    from droidheaders.cache.bundle import available
    from droidheaders.pulling import pull as pull_device

    if output is not None:
        available(output)  # before the work, not after it
    device = settings.device()
    pulled = pull_device(device, settings.cache(), refresh=refresh)
    path = pulled.bundle.headers
    if output is not None:
        pulled.bundle.copy_headers(output)
        path = output.absolute()
    say(device.serial, pulled)
    told = describe(device.serial, pulled) | {"path": str(path)}
    if modules or boot_image:
        told |= _collect(device, pulled, refresh, modules=modules, image=boot_image)
    emit(told, str(path))


def _collect(
    device: Device, pulled: Pulled, refresh: bool, *, modules: bool, image: bool
) -> dict[str, Any]:
    """Collect symbol tables, say what came, and return it for --json."""
    from droidheaders.collecting import pull_tables

    done = pull_tables(
        device, settings.cache(), pulled.bundle, modules=modules, image=image, refresh=refresh
    )
    for what in done.said:
        ui.warn(f"{printable(device.serial)}: {what}")
    counts = done.symvers.coverage
    ui.say(
        f"{printable(device.serial)}: {counts['symbols']} exported symbols are known,"
        f" {counts['crcs']} with a CRC"
    )
    return {"symvers": counts, "left_out": list(done.said)}


def _pull_all(output: Path | None, refresh: bool) -> None:
    """Print "SERIAL<tab>PATH" for each device that gave headers; raise the first error, if any."""
    from droidheaders.adb import Selector
    from droidheaders.errors import DroidheadersError, NoDeviceError
    from droidheaders.fleet import pull_all

    if output is not None:
        raise UsageError("--output names one directory, and --all means many", "leave one out")
    server = settings.server()
    serials = [one.serial for one in server.devices() if one.state == "device"]
    if not serials:
        raise NoDeviceError("no attached device is ready", "droidheaders devices")
    devices = [server.select(Selector(serial=serial)) for serial in serials]
    outcomes = list(zip(serials, pull_all(devices, settings.cache(), refresh=refresh), strict=True))
    errors = [(serial, o) for serial, o in outcomes if isinstance(o, DroidheadersError)]
    pulls = [(serial, o) for serial, o in outcomes if not isinstance(o, DroidheadersError)]
    for serial, pulled in pulls:
        say(serial, pulled)
    emit(
        {
            "devices": [describe(serial, pulled) for serial, pulled in pulls],
            "errors": [{"serial": serial, **error.describe()} for serial, error in errors],
        },
        "\n".join(f"{printable(serial)}\t{pulled.bundle.headers}" for serial, pulled in pulls),
    )
    for _, error in errors:
        report(error)
    if errors:
        raise typer.Exit(errors[0][1].exit_code)


def say(serial: str, pulled: Pulled) -> None:
    """Tell the person on stderr what came, and what of it is good for something."""
    bundle = pulled.bundle
    headers = bundle.meta["headers"]
    what = (
        "cached"
        if pulled.cached
        else f"{headers['files']} files, {mebibytes(headers['bytes'])}, {pulled.seconds:.2f} s"
    )
    ui.say(f"{printable(serial)}: {bundle.kernel}: {bundle.state}, {what}")
    _warn_of_missing(printable(serial), bundle)


def _warn_of_missing(source: str, bundle: Bundle) -> None:
    """Tell the person what partial headers lack."""
    missing = bundle.meta.get("missing", [])
    if missing:
        named = ", ".join(missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        ui.warn(
            f"{source}: these headers lack what many programs include: {named}{more};"
            f" see droidheaders cache show {bundle.name}"
        )


def describe(serial: str, pulled: Pulled) -> dict[str, Any]:
    """Return what --json says of one pull; the keys are in docs/json.md."""
    return {"serial": serial, **facts(pulled)}


def facts(pulled: Pulled) -> dict[str, Any]:
    """Return what --json says of headers that came into the cache, however they came."""
    meta = pulled.bundle.meta
    return {
        "bundle": pulled.bundle.name,
        "path": str(pulled.bundle.headers),
        "cached": pulled.cached,
        "seconds": round(pulled.seconds, 3),
        "kernel": meta["kernel"],
        "arch": meta["arch"],
        "compiler": meta["compiler"],
        "archive": meta["archive"],
        "headers": meta["headers"],
        **{key: meta[key] for key in _JUDGED if key in meta},
        "parts": pulled.bundle.parts,
        "warnings": meta["warnings"],
    }
