"""`droidheaders btf`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from droidheaders.cli.flags import Named
from droidheaders.cli.settings import emit, settings
from droidheaders.errors import UsageError
from droidheaders.ui import ui

if TYPE_CHECKING:
    from droidheaders.build.btf import KernelBtf
    from droidheaders.cache import Bundle


class Format(StrEnum):
    """How the types of a kernel are written."""

    c = "c"
    raw = "raw"
    min = "min"


def btf(
    objects: Annotated[
        list[Path] | None,
        typer.Argument(help="BPF objects, for --format min.", metavar="[OBJECT]..."),
    ] = None,
    form: Annotated[
        Format,
        typer.Option("--format", help="vmlinux.h, BTF, or BTF cut to what OBJECTs need."),
    ] = Format.c,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file; else stdout.", metavar="FILE"),
    ] = None,
    bundle: Named = None,
) -> None:
    """Write the types of this kernel: as C, which is vmlinux.h, or as BTF.

    The kernel's own BTF where it was pulled, else one made from the headers, which serves CO-RE
    programs; fentry, lsm, iter and struct_ops take the kernel's own. With -o its path is printed.

    Examples:

      droidheaders btf -o vmlinux.h

      droidheaders btf --format raw -o vmlinux.btf --bundle 6.1.99-android14

      droidheaders btf --format min prog.bpf.o -o prog.btf
    """
    if (form == Format.min) != bool(objects):
        raise UsageError("objects and --format min go together", "give both")
    silent = output is None and form != Format.c and not settings.json
    if silent and sys.stdout.isatty():
        raise UsageError("BTF is no text for a terminal", "-o FILE")
    if settings.json and output is None and form == Format.min:
        raise UsageError("--json says where the BTF is, and it needs a file", "-o FILE")
    from droidheaders.build.btf import kernel_btf
    from droidheaders.build.flags import Flags

    chosen = settings.bundle(bundle)
    found = kernel_btf(chosen, settings.cache())
    file, data = _written(chosen, found, form, objects or [])
    if output is not None:
        from droidheaders.cache.disk import disk_errors, write_atomically

        file = output.absolute()
        with disk_errors(file.parent, "the directory", "-o"):
            write_atomically(file, data)
    if form == Format.c and "-fms-extensions" in Flags.of(chosen).types():
        ui.say("compile with -fms-extensions: this kernel embeds structures by their tag")
    if found.made_from_headers:
        ui.say("made from the headers: fentry, lsm, iter and struct_ops take the kernel's own BTF")
    if output is None and not settings.json:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        emit(_described(chosen, found, form, str(file), len(data)), str(file))


def _written(
    bundle: Bundle, found: KernelBtf, form: Format, objects: list[Path]
) -> tuple[Path, bytes]:
    """Return the file in the cache that has it, or is made of, and what is to be written."""
    from droidheaders.build import bpftool, tools
    from droidheaders.build.btf import vmlinux_h

    if form == Format.c:
        path = vmlinux_h(bundle, settings.cache()) / "vmlinux.h"
        return path, path.read_bytes()
    if form == Format.raw:
        return found.path, found.path.read_bytes()
    least = bpftool.least(tools.find("bpftool"), found.path, objects, bundle.name)
    return found.path, least


def _described(
    bundle: Bundle, found: KernelBtf, form: Format, path: str, size: int
) -> dict[str, Any]:
    from droidheaders.kernel.btf import Btf

    return {
        "bundle": bundle.name,
        "format": form.value,
        "path": path,
        "size": size,
        "source": "headers" if found.made_from_headers else "kernel",
        "types": len(Btf(found.path.read_bytes())) - 1,
        "tools": list(found.tools),
        "left_out": dict(found.left_out),
    }
