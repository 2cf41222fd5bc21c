"""The names that a command line has, against those that an object or a module has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from droidheaders.errors import UsageError
from droidheaders.kernel.btf import DATASEC, VAR
from droidheaders.objects.bpf import BpfObject
from droidheaders.objects.module import Module
from droidheaders.ui import printable

_LISTED = 8
_SECTIONS = (".rodata", ".data", ".bss")
_EVERY_MODULES = ("async_probe", "dyndbg")


def check_maps(file: BpfObject, words: Iterable[str]) -> None:
    """Raise UsageError for the first word, NAME or NAME=..., that names no map of the object."""
    names = [one.name for one in file.maps]
    for word in words:
        name = word.partition("=")[0]
        if "." not in name:  # libbpf makes maps such as prog.bss of sections of data
            _check("the object", "map", name, names)


def check_variables(file: BpfObject, words: Iterable[str]) -> None:
    """Raise UsageError for the first word, VAR=VALUE, that names no global variable."""
    names = sorted(_variables(file))
    for word in words:
        name, equals, _ = word.partition("=")
        if not equals:
            raise UsageError(f"--set {printable(word)} is not VAR=VALUE", "write --set VAR=VALUE")
        _check("the object", "variable", name.partition(".")[0], names)


def check_parameter(module: Module, name: str) -> None:
    """Raise UsageError for a parameter that the module does not have, which a kernel ignores.

    The kernel has two for every module, and takes a dash for an underscore: parse_args() of
    kernel/params.c, unknown_module_param_cb() of kernel/module/main.c.
    """
    plain = name.replace("-", "_")
    names = [one.partition(":")[0] for one in module.modinfo.get("parmtype", ())]
    if plain not in _EVERY_MODULES:
        _check(printable(module.name or "the module", 64), "parameter", plain, names)


def _check(owner: str, kind: str, name: str, names: list[str]) -> None:
    if name in names:
        return
    close = difflib.get_close_matches(name, names, n=1)
    listed = ", ".join(map(printable, names[:_LISTED])) + (", …" if len(names) > _LISTED else "")
    hint = f"did you mean {printable(close[0])}? " if close else ""
    raise UsageError(
        f"{owner} has no {kind} named {printable(name)}",
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
