"""`droidheaders cache`: what is on the disk."""

from __future__ import annotations

from typing import Annotated

import typer

from droidheaders.cli.settings import emit, mebibytes, settings, table
from droidheaders.ui import ui

app = typer.Typer(help="Look at the bundles on this host.", no_args_is_help=True)


def _names(incomplete: str) -> list[str]:
    return [b.name for b in settings.cache().bundles() if b.name.startswith(incomplete)]


Name = Annotated[
    str,
    typer.Argument(
        help="A bundle's name, its unique beginning, or its release.", autocompletion=_names
    ),
]


@app.command(name="list")
def list_bundles() -> None:
    """List the bundles: name, files, size of the headers, when they came."""
    cache = settings.cache()
    bundles = cache.bundles()
    if not bundles:
        ui.say(f"the cache at {cache.root} is empty; fill it: droidheaders pull")
    rows = [("NAME", "FILES", "HEADERS", "PULLED")]
    rows += [
        (
            b.name,
            str(b.meta["headers"]["files"]),
            mebibytes(b.meta["headers"]["bytes"]),
            b.meta["pulled"],
        )
        for b in bundles
    ]
    emit(
        {"root": str(cache.root), "bundles": [{**b.meta, "path": str(b.path)} for b in bundles]},
        table(rows),
    )


@app.command()
def path(name: Name) -> None:
    """Print the path of a bundle's headers."""
    bundle = settings.cache().find(name)
    emit({"bundle": bundle.name, "path": str(bundle.headers)}, str(bundle.headers))


@app.command()
def show(name: Name) -> None:
    """Show what is known of a bundle: kernel, compiler, parts, and where each came from."""
    bundle = settings.cache().find(name)
    meta = bundle.meta
    headers, archive = meta["headers"], meta["archive"]
    lines = [
        ("bundle", bundle.name),
        ("path", str(bundle.headers)),
        ("release", bundle.kernel.release),
        ("version", bundle.kernel.version),
        ("machine", bundle.kernel.machine),
        ("build-id", bundle.kernel.build_id or "unknown"),
        ("compiler", meta["compiler"]),
        ("headers", f"{headers['files']} files, {mebibytes(headers['bytes'])}"),
        ("archive", f"{archive['path']}, {archive['size']} bytes, sha256 {archive['sha256']}"),
        *((part, source) for part, source in meta["sources"].items() if part != "headers"),
        ("pulled", meta["pulled"]),
        *(("warning", warning) for warning in meta["warnings"]),
    ]
    emit(
        {**meta, "path": str(bundle.headers), "parts": bundle.parts},
        "\n".join(f"{key:<9} {value}" for key, value in lines),
    )
