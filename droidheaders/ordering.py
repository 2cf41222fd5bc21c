"""The modules that a run is given: read, named, each with its parameters, in the order of need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from droidheaders.errors import UsageError
from droidheaders.objects import module as modules
from droidheaders.objects.module import Module
from droidheaders.run.insertion import parameter
from droidheaders.run.naming import check_parameter
from droidheaders.ui import printable

_NAME = re.compile(r"[0-9A-Za-z_]{1,55}")  # shorter than MODULE_NAME_LEN, and no shell's business
_MOST = 32


@dataclass(frozen=True)
class File:
    """A module as it is on this host, decompressed, and what it is called with."""

    path: Path
    module: Module
    data: bytes
    parameters: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the kernel calls it."""
        return self.module.name or self.path.name.partition(".")[0].replace("-", "_")


def ordered(paths: Sequence[Path], parameters: Sequence[str]) -> list[File]:
    """Return the modules each after what it needs of the others, with its parameters.

    `parameters` are NAME=VALUE for the last of `paths`, or MODULE.NAME=VALUE. Raises UsageError for
    a file that is no module, and for what cannot be inserted together.
    """
    return _in_order(_with_parameters([_read(path) for path in paths], parameters))


def _read(path: Path) -> File:
    name = printable(str(path), 500)
    try:
        data, _ = modules.unpacked(modules.content(path))
        found = modules.parse(data)
    except OSError as e:
        raise UsageError(f"cannot read {name}: {e.strerror}", "give a kernel module, a .ko") from e
    except ValueError as e:
        raise UsageError(f"{name} {printable(str(e))}", "droidheaders build module DIR") from e
    file = File(path, found, data)
    if not _NAME.fullmatch(file.name):
        raise UsageError(
            f"{name} calls itself {printable(file.name)!r}, which is no module's name",
            "build it anew: kbuild makes a plain name of its file's",
        )
    return file


def _with_parameters(files: Sequence[File], parameters: Sequence[str]) -> list[File]:
    """Give each its parameters: MODULE.NAME=VALUE says whose, NAME=VALUE is the last one's."""
    given: dict[str, list[str]] = {one.name: [] for one in files}
    named_files = {one.name: one for one in files}
    if len(given) < len(files) or len(files) > _MOST:
        raise UsageError(
            f"{len(files)} modules are given, and {len(given)} names: each once, {_MOST} at most",
            "leave out what is given twice",
        )
    for text in parameters:
        owner, dot, rest = text.partition(".")
        named = bool(dot) and "=" not in owner
        name = owner.replace("-", "_") if named else files[-1].name
        if name not in given:
            raise UsageError(
                f"--param {printable(text)}: no module {printable(name)} is given",
                f"the modules are {', '.join(given)}",
            )
        try:
            value = parameter(rest if named else text)
        except ValueError as e:
            raise UsageError(
                f"--param {printable(text)} {e}", "--param times=3, or --param hello.times=3"
            ) from e
        check_parameter(named_files[name].module, value.partition("=")[0])
        given[name].append(value)
    return [replace(one, parameters=tuple(given[one.name])) for one in files]


def _in_order(files: Sequence[File]) -> list[File]:
    """Return the modules each after what it needs of the others, by name or by symbol."""
    named = {one.name: one for one in files}
    exporters = {symbol: one.name for one in files for symbol in one.module.exports}
    needs: dict[str, set[str]] = {}
    for one in files:
        symbols = one.module.undefined | one.module.weak
        users = {exporters[symbol] for symbol in symbols & exporters.keys()}
        needs[one.name] = (users | set(one.module.depends)) & named.keys() - {one.name}
    try:
        return [named[name] for name in TopologicalSorter(needs).static_order()]
    except CycleError as e:
        circle = " ".join(map(str, e.args[1]))
        raise UsageError(
            f"the modules need each other in a circle: {printable(circle)}",
            "depmod refuses them as well: move what both need into a third",
        ) from e
