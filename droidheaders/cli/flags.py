"""`droidheaders flags` and `droidheaders env`."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from droidheaders.cli.cache import names
from droidheaders.cli.settings import emit, settings
from droidheaders.errors import UsageError
from droidheaders.ui import ui

if TYPE_CHECKING:
    from droidheaders.build.flags import Flags
    from droidheaders.cache import Bundle

Named = Annotated[
    str | None,
    typer.Option(
        "--bundle",
        help="A kernel of the cache; else the device's, else the last one used.",
        autocompletion=names,
        metavar="NAME",
    ),
]


class Format(StrEnum):
    """How flags are printed."""

    shell = "shell"
    json = "json"
    make = "make"
    compile_commands = "compile-commands"


def flags(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Sources, for --format compile-commands.", metavar="[SRC]..."),
    ] = None,
    bpf: Annotated[bool, typer.Option("--bpf", help="For BPF programs.")] = False,
    module: Annotated[bool, typer.Option("--module", help="For kernel modules.")] = False,
    cflags: Annotated[bool, typer.Option("--cflags", help="The compiler's flags.")] = False,
    arch: Annotated[bool, typer.Option("--arch", help="The kernel's name: arm64, x86.")] = False,
    target: Annotated[bool, typer.Option("--target", help="Clang's name of the target.")] = False,
    kdir: Annotated[bool, typer.Option("--kdir", help="Where make builds modules.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.shell,
    bundle: Named = None,
) -> None:
    """Print what a compiler needs for this kernel's headers: one line for $(…).

    Without --arch, --target or --kdir that is all the flags.

    Examples:

      clang $(droidheaders flags --bpf) -c prog.bpf.c -o prog.bc

      make ARCH=$(droidheaders flags --module --arch)

      droidheaders flags --bpf --format make >flags.mk

      droidheaders flags --bpf --format compile-commands *.bpf.c >compile_commands.json
    """
    from droidheaders.build.flags import Flags

    asked = [n for n, on in (("cflags", cflags), ("arch", arch), ("target", target)) if on]
    asked += ["kdir"] if kdir else []
    if bpf == module or len(asked) > 1:
        what = "--cflags, --arch, --target and --kdir" if len(asked) > 1 else "--bpf and --module"
        raise UsageError(f"one of {what} is needed", "droidheaders flags --help")
    if (form == Format.compile_commands) != bool(files):
        raise UsageError("sources and --format compile-commands go together", "give both")
    chosen = settings.bundle(bundle)
    if files:
        print(json.dumps(_commands(chosen, files, bpf=bpf), indent=2))
        return
    found = Flags.of(chosen)
    if bpf:
        _see_to_libbpf(found)
    _print(chosen, found, asked[0] if asked else "", form, bpf=bpf)


def _print(bundle: Bundle, found: Flags, asked: str, form: Format, *, bpf: bool) -> None:
    from droidheaders.build import formats

    words = found.kernel() if bpf else found.module()
    values = {"arch": found.arch, "target": found.target}
    listed = form != Format.shell or settings.json
    if asked == "kdir" or (listed and not asked):
        from droidheaders import equipping  # 60 ms, which the flags alone do not need

        find = equipping.usual if asked else equipping.last
        kdir = find(settings.cache(), bundle)
        values |= {"kdir": str(kdir)} if kdir else {}
    if form == Format.json or settings.json:
        settings.json = True
        emit({"bundle": bundle.name, "cflags": words, "kdir": None, **values}, "")
    elif form == Format.make:
        kind = "BPF" if bpf else "MODULE"
        lines = {"cflags": formats.shell(words), **values}
        kept = {f"{kind}_{n.upper()}": v for n, v in lines.items() if asked in ("", n)}
        print(formats.make(kept))
    else:
        printed = [values[asked]] if asked in values else words
        if not formats.survives(printed):
            ui.warn(
                "a path here holds what a shell splits or expands: $(…) alone will not do,"
                ' eval "set -- $(…)" or --format make will'
            )
        print(formats.shell(printed))


def _see_to_libbpf(found: Flags) -> None:
    """Have the flags lead to libbpf's headers, without a download."""
    from droidheaders.build import libbpf

    if not libbpf.link(settings.cache(), found.arch, fetch=False):
        ui.warn(
            "bpf/bpf_helpers.h is not on this host: sudo apt-get install libbpf-dev"
            " (droidheaders build bpf fetches it by itself)"
        )


def _commands(bundle: Bundle, files: list[Path], *, bpf: bool) -> list[dict[str, object]]:
    from droidheaders.build import bpf as programs
    from droidheaders.build import clang
    from droidheaders.build.flags import Flags

    if bpf:
        compiler = programs.Compiler.of(bundle, settings.cache(), files)
        found = [[compiler.clang, *compiler.words(compiler.settle(file))] for file in files]
    else:
        found = [[clang.find(), *Flags.of(bundle).module()] for _ in files]
    here = os.getcwd()
    return [
        {"directory": here, "file": str(file), "arguments": [*words, "-c", str(file)]}
        for file, words in zip(files, found, strict=True)
    ]


def env(bundle: Named = None) -> None:
    """Print the variables by which BCC, bpftrace and make find this kernel, for a shell's eval.

    Examples:

      eval "$(droidheaders env)"

      droidheaders env --bundle 6.1.99-android14 >>.envrc
    """
    from droidheaders.build.formats import exports
    from droidheaders.environment import of_bundle

    chosen = settings.bundle(bundle)
    found = of_bundle(settings.cache(), chosen)
    emit(
        {"bundle": chosen.name, "exported": found.exported, "unset": found.unset},
        exports(found.exported, found.unset),
    )
