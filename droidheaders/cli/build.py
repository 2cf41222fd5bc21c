"""`droidheaders build`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from droidheaders.cli._tail import KEY, WithTail
from droidheaders.cli.flags import Named
from droidheaders.cli.kdir import Force, Provider, Source, Symvers, Tools, WithoutCrcs
from droidheaders.cli.settings import emit, report, settings
from droidheaders.ui import ui

app = typer.Typer(help="Build on this host for the kernel of a device.", no_args_is_help=True)


@app.command(cls=WithTail)
def bpf(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="BPF programs in C.", metavar="SRC...")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The object, or a directory; else SRC with .o, here.",
            metavar="OUT",
        ),
    ] = None,
    bundle: Named = None,
) -> None:
    """Compile BPF programs for this kernel, and print the paths of the objects.

    Which headers a program means is told by what it includes: vmlinux.h, made from the kernel's
    BTF; only what is in include/uapi; or all of the kernel's. Words after -- are clang's.

    Examples:

      droidheaders build bpf opensnoop.bpf.c

      droidheaders build bpf *.bpf.c -o out --bundle 6.1.99-android14

      droidheaders build bpf prog.bpf.c -- -DDEBUG -Wall -mcpu=v3
    """
    from droidheaders.build import bpf as programs

    jobs = programs.outputs(files, output)
    chosen = settings.bundle(bundle)
    compiler = programs.Compiler.of(chosen, settings.cache(), files, context.meta[KEY])
    built = programs.build(compiler, jobs)
    for one in built:
        sys.stderr.write(one.said)
    errors = [(one, one.error) for one in built if one.error is not None]
    made = [one for one in built if one.error is None]
    emit(
        {
            "bundle": chosen.name,
            "built": [
                {"source": str(one.source), "output": str(one.output), "headers": one.kind}
                for one in made
            ],
            "errors": [{"source": str(one.source), **e.describe()} for one, e in errors],
        },
        "\n".join(str(one.output) for one in made),
    )
    for _, error in errors:
        report(error)
    if errors:
        raise typer.Exit(errors[0][1].exit_code)


@app.command(cls=WithTail)
def module(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Argument(help="A directory with a Kbuild or Makefile.", metavar="DIR")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Build in this directory; else in DIR.", metavar="OUT"),
    ] = None,
    bundle: Named = None,
    source: Source = None,
    provider: Provider = None,
    symvers: Symvers = None,
    without_crcs: WithoutCrcs = False,
    force: Force = False,
    host_tools: Tools = None,
) -> None:
    """Build a kernel module for this kernel, and print the paths of the .ko files.

    With -o the source stays clean. Then each is checked as by droidheaders check: what speaks
    against it is said on stderr. Words after -- are make's.

    Examples:

      droidheaders build module mydriver

      droidheaders build module mydriver -o out -- V=1 KBUILD_EXTRA_SYMBOLS=$PWD/Module.symvers
    """
    from droidheaders import building
    from droidheaders.equipping import Wish

    cache = settings.cache()
    chosen = settings.bundle(bundle)
    files = tuple(symvers or ())
    wish = Wish(source, provider, files, without_crcs, force, host_tools or "")
    order = building.Order(directory, output, tuple(context.meta[KEY]), wish)
    built = building.build(cache, chosen, order, ui.say)
    for concern in built.equipment.toolchain.concerns:
        ui.warn(concern)
    device = settings.attached() if bundle is None and built.modules else None
    reports = building.judge(built, device, cache)
    for because, hint in building.complaints(reports):
        ui.warn(because)
        ui.say(f"hint: {hint}" if hint else "")
    emit(
        {
            **built.equipment.describe(),
            "built": list(reports),
            "checks": [{"path": path, **report.describe()} for path, report in reports.items()],
        },
        "\n".join(reports),
    )
