"""`droidheaders cache import` and `cache export`: headers that come without a device, and go."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from droidheaders.cli.cache import Name
from droidheaders.cli.pull import facts, say
from droidheaders.cli.settings import emit, mebibytes, settings
from droidheaders.errors import UsageError
from droidheaders.ui import printable, ui


def import_(
    file: Annotated[Path, typer.Argument(help="What holds the headers.", metavar="FILE")],
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            help="A kernel tree's source, if the tree does not lead there.",
            metavar="DIR",
        ),
    ] = None,
) -> None:
    """Bring headers from a file into the cache, and print their path.

    FILE is told by its content: the .tar.xz that a kernel gives, a kheaders.ko, a boot image, an
    Image, Image.gz, Image.lz4, bzImage or vmlinux with CONFIG_IKHEADERS=y, the directory that a
    kernel was built in, or what cache export wrote.

    Examples:

      droidheaders cache import boot.img

      droidheaders cache import out/ --source common/
    """
    from droidheaders.importing import import_file

    done = import_file(file, settings.cache(), source=source)
    say(done.file.name, done)
    path = str(done.bundle.headers)
    emit({"file": str(done.file), "kind": done.kind, **facts(done)}, path)


def export(
    name: Name,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The new file; - is stdout.", metavar="FILE")
    ],
) -> None:
    """Write a bundle to one file that cache import takes on another host.

    Example:

      droidheaders cache export 6.1.99-android14 -o headers.tar
    """
    from droidheaders.cache.export import export as write
    from droidheaders.cache.export import export_to

    bundle = settings.cache().find(name)
    if str(output) == "-":
        if settings.json or sys.stdout.isatty():
            raise UsageError("an export is no text for stdout here", "-o FILE")
        export_to(bundle, sys.stdout.buffer)
        return
    size = write(bundle, output)
    ui.say(f"{printable(bundle.name)}: {mebibytes(size)}")
    path = str(output.absolute())
    emit({"bundle": bundle.name, "file": path, "size": size}, path)
