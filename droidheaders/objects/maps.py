"""The maps that a BPF object defines: by BTF in .maps, or as structs in a section maps."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from droidheaders.kernel import btf as kinds
from droidheaders.kernel.btf import Btf
from droidheaders.objects.elf import Elf, Symbol

_OBJECT = 1  # STT_OBJECT


@dataclass(frozen=True)
class MapDefinition:
    """One map: the number of its enum bpf_map_type, sizes in bytes; 0 is what it leaves open."""

    name: str
    type: int
    key_size: int
    value_size: int
    max_entries: int
    legacy: bool = False


def maps_of(file: Elf, btf: Btf | None, symbols: tuple[Symbol, ...]) -> tuple[MapDefinition, ...]:
    """Return the maps of an object."""
    return (*(_by_btf(btf) if btf else ()), *_legacy(file, symbols))


def _by_btf(btf: Btf) -> Iterator[MapDefinition]:
    """Yield what .maps defines, by the rules of parse_btf_map_def() in libbpf.c."""
    definitions: dict[int, dict[str, int]] = {}
    for section in btf.find(".maps", kinds.DATASEC)[:1]:
        for variable, _, _ in btf.variables(section):
            one = btf.type(variable)
            if one.kind == kinds.VAR:
                plain = btf.plain(one.value)
                if plain not in definitions:
                    definitions[plain] = dict(_fields(btf, plain))
                values = definitions[plain]
                yield MapDefinition(
                    one.name,
                    values.get("type", 0),
                    values.get("key_size", values.get("key", 0)),
                    values.get("value_size", values.get("value", 0)),
                    values.get("max_entries", 0),
                )


def _fields(btf: Btf, definition: int) -> Iterator[tuple[str, int]]:
    """Yield numbers, which __uint() hides in an array's length, and sizes of key and value."""
    for member in btf.members(definition):
        pointer = btf.type(btf.plain(member.type))
        if pointer.kind != kinds.PTR:
            continue
        if member.name in ("key", "value"):
            yield member.name, btf.size(pointer.value)
        elif btf.type(btf.plain(pointer.value)).kind == kinds.ARRAY:
            yield member.name, btf.array(btf.plain(pointer.value))[1]


def _legacy(file: Elf, symbols: tuple[Symbol, ...]) -> Iterator[MapDefinition]:
    """Yield what a section maps defines: struct bpf_map_def, or Android's, which begins so."""
    section = file.section("maps")
    if section is None:
        return
    number = file.sections.index(section)
    for one in symbols:
        if one.section == number and one.kind == _OBJECT and one.value + 16 <= len(section.data):
            kind, key, value, entries = struct.unpack_from("<IIII", section.data, one.value)
            yield MapDefinition(one.name, kind, key, value, entries, legacy=True)
