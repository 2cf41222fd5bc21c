"""The names of maps and variables that a command line has, against those that an object has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from droidheaders.errors import UsageError
from droidheaders.kernel.btf import DATASEC, VAR
from droidheaders.objects.bpf import BpfObject
from droidheaders.ui import printable

_LISTED = 8
_SECTIONS = (".rodata", ".data", ".bss")


def check_maps(file: BpfObject, words: Iterable[str]) -> None:
    """Raise UsageError for the first word, NAME or NAME=..., that names no map of the object."""
    names = [one.name for one in file.maps]
    for word in words:
        name = word.partition("=")[0]
        if "." not in name:  # libbpf makes maps such as prog.bss of sections of data
            _check("map", name, names)


def check_variables(file: BpfObject, words: Iterable[str]) -> None:
    """Raise UsageError for the first word, VAR=VALUE, that names no global variable."""
    names = sorted(_variables(file))
    for word in words:
        name, equals, _ = word.partition("=")
        if not equals:
            raise UsageError(f"--set {printable(word)} is not VAR=VALUE", "write --set VAR=VALUE")
        _check("variable", name.partition(".")[0], names)


def _check(kind: str, name: str, names: list[str]) -> None:
    if name in names:
        return
    close = difflib.get_close_matches(name, names, n=1)
    listed = ", ".join(map(printable, names[:_LISTED])) + (", …" if len(names) > _LISTED else "")
    hint = f"did you mean {printable(close[0])}? " if close else ""
    raise UsageError(
        f"the object has no {kind} named {printable(name)}",
        hint + (f"it has {listed}" if names else "it has none"),
    )


def _variables(file: BpfObject) -> set[str]:
    btf = file.btf
    if btf is None:
        return set()
    return {
        btf.type(one).name
        for section in _SECTIONS
        for number in btf.find(section, DATASEC)
        for one, _, _ in btf.variables(number)
        if btf.type(one).kind == VAR and "." not in btf.type(one).name  # else a static one's
    }
