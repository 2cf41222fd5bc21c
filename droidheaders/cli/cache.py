"""`droidheaders cache`: what is on the disk."""

from __future__ import annotations

from time import localtime, strftime
from typing import TYPE_CHECKING, Annotated

import typer

from droidheaders.cli.settings import emit, mebibytes, settings, table
from droidheaders.ui import printable, ui

_LONGEST = 500  # characters of what a device said of itself; the whole is in bundle.json

if TYPE_CHECKING:
    from droidheaders.cache import Bundle

app = typer.Typer(help="Look at the bundles on this host.", no_args_is_help=True)


def names(incomplete: str) -> list[str]:
    """Complete the name of a bundle."""
    return [b.name for b in settings.cache().bundles() if b.name.startswith(incomplete)]


Name = Annotated[
    str,
    typer.Argument(
        help="A bundle's name, its unique beginning, or its release.", autocompletion=names
    ),
]


@app.command(name="list")
def list_bundles() -> None:
    """List the bundles: what they are good for, their sizes, and when they were last used.

    SIZE is what the files say; OWN is what they hold on the disk that no other bundle shares: what
    goes free when the bundle goes.
    """
    from droidheaders.cache.space import measure, on_disk, own

    cache = settings.cache()
    bundles = cache.bundles()
    if not bundles:
        ui.say(f"the cache at {cache.root} is empty; fill it: droidheaders pull")
    spaces = [measure(b.path, *cache.beside(b.name)) for b in bundles]
    sizes = [(s.apparent, size) for s, size in zip(spaces, own(spaces), strict=True)]
    total = {"apparent": sum(s.apparent for s in spaces), "disk": on_disk(spaces)}
    rows = [("NAME", "STATE", "FILES", "SIZE", "OWN", "USED")]
    for bundle, (apparent, alone) in zip(bundles, sizes, strict=True):
        meta, used = bundle.meta, strftime("%Y-%m-%d %H:%M", localtime(bundle.used()))
        state, files = printable(bundle.state), str(meta["headers"]["files"])
        rows.append((bundle.name, state, files, mebibytes(apparent), mebibytes(alone), used))
    emit(
        {
            "root": str(cache.root),
            "size": total,
            "bundles": [
                {**b.meta, "path": str(b.path), "size": {"apparent": apparent, "own": alone}}
                for b, (apparent, alone) in zip(bundles, sizes, strict=True)
            ],
        },
        table(rows),
    )
    if bundles:
        said, disk = mebibytes(total["apparent"]), mebibytes(total["disk"])
        ui.say(f"{said} in {len(bundles)} bundles take {disk} on the disk")


@app.command()
def path(name: Name) -> None:
    """Print the path of a bundle's headers."""
    bundle = settings.cache().find(name)
    emit({"bundle": bundle.name, "path": str(bundle.headers)}, str(bundle.headers))


@app.command()
def show(name: Name) -> None:
    """Show what is known of a bundle: kernel, compiler, parts, where each came from, what was made.

    What was made of it here, such as vmlinux.h, lies beside it in the cache and goes with it.
    """
    from droidheaders.cache.space import measure
    from droidheaders.headers.artifacts import inventory

    cache = settings.cache()
    bundle = cache.find(name)
    derived = {path.name: measure(path).apparent for path in cache.derived.made(bundle.name)}
    collected = measure(cache.collected / bundle.name).apparent
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
        ("state", _state(bundle)),
        *(("missing", name) for name in meta.get("missing", [])),
        *(("also", inventory(built)) for built in [meta.get("artifacts")] if built),
        ("headers", f"{headers['files']} files, {mebibytes(headers['bytes'])}"),
        ("archive", f"{archive['path']}, {archive['size']} bytes, sha256 {archive['sha256']}"),
        *((part, source) for part, source in meta["sources"].items() if part != "headers"),
        ("imported" if "imported" in meta else "pulled", meta["pulled"]),
        *(("warning", warning) for warning in meta["warnings"]),
        *(("made", f"{name}, {mebibytes(size)}") for name, size in derived.items()),
        *([("collected", f"symbol tables, {mebibytes(collected)}")] if collected else []),
    ]
    more = {"parts": bundle.parts, "derived": derived, "collected": collected}
    emit(
        {**meta, "path": str(bundle.headers), **more},
        "\n".join(
            f"{key:<9} {value if key == 'path' else printable(value, _LONGEST)}"
            for key, value in lines
        ),
    )


def _state(bundle: Bundle) -> str:
    """Say what the headers are good for, and who says so."""
    by = bundle.meta.get("checked_with") or f"only looked at: {bundle.meta.get('unchecked', '')}"
    return f"{bundle.state} ({by})"
