"""`droidheaders symvers`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from droidheaders.cli.cache import names as bundle_names
from droidheaders.cli.settings import emit, settings
from droidheaders.errors import HeadersError
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.build.symvers import Symvers
    from droidheaders.cache import Bundle


def symvers(
    names: Annotated[
        list[str] | None, typer.Argument(help="Of these symbols only.", metavar="[NAME]...")
    ] = None,
    official: Annotated[
        list[Path] | None,
        typer.Option("--symvers", help="Add its own build's Module.symvers.", metavar="FILE"),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            "--image", help="Add the table in a boot.img, Image, bzImage, vmlinux.", metavar="FILE"
        ),
    ] = None,
    modules: Annotated[
        list[Path] | None,
        typer.Option("--modules", help="Add the tables of the modules below DIR.", metavar="DIR"),
    ] = None,
    missing_for: Annotated[
        Path | None,
        typer.Option(
            "--missing-for",
            help="Print what this module needs that has no CRC or is not known.",
            metavar="FILE.ko",
        ),
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget first what was added before.")
    ] = False,
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle", help="Of this kernel.", autocompletion=bundle_names, metavar="NAME"
        ),
    ] = None,
) -> None:
    """Print a kernel's Module.symvers: what it exports, with the CRCs that modules are built with.

    It is put together from what was added, here or with pull --modules --boot-image, and is kept
    beside the bundle: the Module.symvers of the kernel's own build first, then the table in its
    image, then what modules of it export, then what they expect. Tables that contradict each other
    are refused. Exit status 1 when a NAME is not known, or something is missing for FILE.ko.

    Examples:

      droidheaders symvers --image boot.img > Module.symvers

      droidheaders symvers kfree printk

      droidheaders symvers --missing-for mydriver.ko
    """
    from droidheaders import collecting
    from droidheaders.build.symvers import of
    from droidheaders.cache import collected

    cache, chosen = settings.cache(), settings.bundle(bundle)
    found = collecting.of_files(chosen, image or (), modules or (), official or ())
    if forget:
        collected.forget(cache, chosen)
    collecting.keep(cache, chosen, found)
    for said in found.said:
        ui.warn(said)
    known = of(cache, chosen)
    if missing_for is not None:
        _say_missing(chosen, missing_for, known)
        return
    if not known.symbols:
        if forget:
            return
        raise HeadersError(
            f"nothing tells what {chosen.kernel} exports",
            "droidheaders pull --modules --boot-image, or droidheaders symvers --image boot.img",
        )
    _print(chosen, known, names or [])


def _print(bundle: Bundle, known: Symvers, names: list[str]) -> None:
    unknown = [name for name in names if name not in known.symbols]
    chosen = [name for name in names if name in known.symbols] if names else list(known.symbols)
    if not names:
        ui.say(f"{bundle.kernel}: {_counted(known)}")
    told = {"unknown": unknown, "symbols": {name: _describe(known, name) for name in chosen}}
    emit(_head(bundle, known) | told, known.text(chosen).removesuffix("\n"))
    if unknown:
        shown = ", ".join(printable(name, 64) for name in unknown)
        whole = "exports no such symbol" if known.whole else "is not known to export"
        ui.say(f"{bundle.kernel} {whole}: {shown}")
        raise typer.Exit(1)


def _say_missing(bundle: Bundle, file: Path, known: Symvers) -> None:
    from droidheaders import collecting

    missing = collecting.missing_for(file, known, bundle)
    text = "\n".join(f"{printable(name, 511)}\t{why}" for name, why in missing.items())
    emit(_head(bundle, known) | {"file": str(file), "missing": missing}, text)
    if missing:
        are = "symbol is" if len(missing) == 1 else "symbols are"
        ui.say(f"{len(missing)} {are} missing for {printable(str(file))}")
        raise typer.Exit(1)


def _head(bundle: Bundle, known: Symvers) -> dict[str, Any]:
    return {"bundle": bundle.name, "whole": known.whole, "coverage": known.coverage}


def _describe(known: Symvers, name: str) -> dict[str, Any]:
    one = known.symbols[name]
    export = one.export
    return {
        "crc": None if export.crc is None else f"{export.crc:#010x}",
        "module": export.module,
        "gpl": export.gpl,
        "namespace": export.namespace,
        "kind": one.kind,
        "source": one.source,
    }


def _counted(known: Symvers) -> str:
    """Return how many symbols are known by whom, for a person."""
    words = {
        "official": "its Module.symvers",
        "image": "its image",
        "exports": "modules that export them",
        "versions": "modules that use them",
    }
    counts = known.coverage
    by = ", ".join(f"{counts[kind]} by {text}" for kind, text in words.items() if kind in counts)
    lacking = counts["symbols"] - counts["crcs"]
    return f"{counts['symbols']} symbols, {by}" + (f"; {lacking} without a CRC" if lacking else "")
