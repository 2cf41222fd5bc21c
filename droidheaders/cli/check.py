"""`droidheaders check`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from droidheaders.cli.cache import names
from droidheaders.cli.settings import emit, settings


class Capability(StrEnum):
    """What a kernel can be asked for."""

    headers = "headers"
    bpf = "bpf"
    modules = "modules"


def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="A .ko or a BPF object to be judged; a .config, config.gz, kernel image or"
            " Module.symvers tells of the kernel.",
            metavar="[FILE]...",
        ),
    ] = None,
    what: Annotated[
        list[Capability] | None,
        typer.Option("--for", help="Ask for this only; may be given again."),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(
            "--config", help="Is this option set? CONFIG_X, or CONFIG_X=VALUE.", metavar="OPTION"
        ),
    ] = None,
    require: Annotated[
        list[Path] | None,
        typer.Option("--require", help="Are the options of this fragment set?", metavar="FILE"),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle", help="Ask the cache, and no device.", autocompletion=names, metavar="NAME"
        ),
    ] = None,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Load a BPF program of each type on the device, to be sure."),
    ] = False,
) -> None:
    """Say what this kernel can do, before anything is pushed, and whether FILEs fit it.

    Can headers be had, and how; will BPF programs load, which, as whom; will modules, and what must
    they be built with. With FILEs, whether these will. Exit status 0 when everything that was asked
    for holds, 4 when something does not, 1 when nothing tells.

    Examples:

      droidheaders check

      droidheaders check --for bpf --json | jq -r '.bpf.types | to_entries[] | .key, .value.verdict'

      droidheaders check mydriver.ko

      droidheaders check --bundle 6.1.99-android14 prog.bpf.o

      droidheaders check --config IKHEADERS --config KPROBES=y boot.img

      droidheaders check --require android-base.config
    """
    from droidheaders import checking
    from droidheaders.cli._answers import lines

    question = checking.Question(
        files=tuple(files or ()),
        capabilities=frozenset(one.value for one in what or ()),
        config=tuple(config or ()),
        fragments=tuple(require or ()),
        bundle=bundle,
        probe=probe,
    )
    found = checking.check(question, settings.device, settings.cache)
    emit(found.describe(), "\n".join(lines(found)))
    raise typer.Exit(found.status)
