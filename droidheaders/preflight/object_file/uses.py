"""Whether a kernel has what programs use: helpers, its own functions, types of maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from droidheaders.objects.bpf import BpfObject
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.object_file.core import Relocated
from droidheaders.preflight.object_file.enums import BpfEnums
from droidheaders.preflight.object_file.numbers import HELPERS, MAPS, Release
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

_GLOBAL_DATA_SINCE = (5, 2)  # d8eca5bbb2be


def helpers(file: BpfObject, enums: BpfEnums, relocated: Relocated) -> Iterator[Answer]:
    """Yield what the kernel lacks of the helpers that are called in code which is reached."""
    called = _called(file, relocated)
    has = {number: _has(number, HELPERS, "bpf_func_id", enums) for number in called}
    if None in has.values():
        yield Answer("helpers", "unknown", "nothing tells which helpers the kernel has")
    source = enums.source("bpf_func_id")
    for number in (number for number in called if has[number] is False):
        name, since = HELPERS.get(number, ("", (0, 0)))
        came = f": it came with {since[0]}.{since[1]}" if name else ""
        by = printable(", ".join(sorted(called[number])[:3]), 80)
        what = f"bpf_{name}" if name else f"helper {number}"
        yield Answer("helpers", "no", f"{by} calls {what}, which is not there, {source}{came}")
    if called and all(has.values()):
        yield Answer("helpers", "yes", f"the kernel has all {len(called)}, {source}")


def _has(
    number: int, table: Mapping[int, tuple[str, Release]], enum: str, enums: BpfEnums
) -> bool | None:
    """Tell whether the kernel has a helper or a type of maps; None when nothing tells."""
    known = enums.enum(enum)
    if known:
        return number in known.values()
    if number not in table:
        return None
    return None if enums.release is None else enums.release >= table[number][1]


def _called(file: BpfObject, relocated: Relocated) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for function, number, one in file.calls():
        if one.source == 0 and number in relocated.reached.get(function.section, ()):
            found.setdefault(one.immediate, set()).add(function.name)
    return found


def kfuncs(file: BpfObject, target: Target) -> Iterator[Answer]:
    """Yield which of the kernel's functions that are called by name are not seen to be there."""
    weak = {one.name for one in file.externs if one.weak}
    for name, users in file.kfuncs().items():
        by = printable(", ".join(sorted(users)[:3]), 80)
        what = f"{by} calls the kernel's {printable(name, 60)}"
        if target.btf is None:
            yield Answer("kfuncs", "unknown", f"{what}, which only the kernel's BTF tells of")
        elif not target.btf.has_function(name) and name not in weak:
            because = f"{what}, which is not in vmlinux, by its BTF; a module may have it"
            yield Answer("kfuncs", "unknown", because)


def maps(file: BpfObject, enums: BpfEnums) -> Iterator[Answer]:
    """Yield what the kernel lacks of the types of maps, and what is old about them."""
    has = [(one, _has(one.type, MAPS, "bpf_map_type", enums)) for one in file.maps]
    source = enums.source("bpf_map_type")
    for one in (one for one, there in has if there is False):
        name, since = MAPS.get(one.type, (f"of type {one.type}", (0, 0)))
        came = f": it came with {since[0]}.{since[1]}" if one.type in MAPS else ""
        because = f"{printable(one.name, 60)} is a map {name}, which is not there"
        yield Answer("maps", "no", f"{because}, {source}{came}")
    if any(there is None for _, there in has):
        yield Answer(
            "maps", "unknown", "nothing tells whether the kernel has all types of its maps"
        )
    if any(one.legacy for one in file.maps):
        because = "it defines maps in a section maps: libbpf refuses that since 1.0"
        yield Answer("maps", "risky", because, "define them with BTF, in a section .maps")
    elif has and all(there for _, there in has):
        yield Answer("maps", "yes", f"the kernel has the types of all {len(has)}, {source}")
    if file.data and enums.release and enums.release < _GLOBAL_DATA_SINCE:
        names = printable(", ".join(file.data), 80)
        yield Answer("maps", "no", f"it has variables ({names}), which came with 5.2")
