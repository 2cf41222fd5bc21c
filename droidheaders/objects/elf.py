"""The sections and symbols of a 64-bit little-endian ELF file, without trusting one byte of it.

pyelftools follows each name to its end, however far that is; here a file is read in time and
memory that its size bounds. The layouts are those of elf.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from droidheaders.ui import printable

REL = 1
EM_BPF = 247
PROGBITS, SYMTAB, NOBITS, SHT_REL = 1, 2, 8, 9
EXECINSTR = 0x4
UNDEFINED = 0

_SECTIONS = 10_000  # a BPF object with a section for each of a thousand programs has 2,000
_NAME = 1024  # the longest name that is read: the kernel's own limit is 512 (KSYM_NAME_LEN)
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


class Section(NamedTuple):
    """One section: `size` is what it says, `data` what the file has, which is nothing of NOBITS."""

    name: str
    type: int
    flags: int
    size: int
    link: int
    info: int
    data: memoryview


class Symbol(NamedTuple):
    """One symbol; in section 0 (SHN_UNDEF) it is somebody else's."""

    name: str
    kind: int
    bind: int
    section: int
    value: int
    size: int


@dataclass(frozen=True)
class Elf:
    """An ELF file: e_type, e_machine, and its sections, each at its index."""

    type: int
    machine: int
    sections: tuple[Section, ...]

    def section(self, name: str) -> Section | None:
        """Return the first section of a name."""
        return next((one for one in self.sections if one.name == name), None)

    def symbols(self) -> Iterator[Symbol]:
        """Yield the symbols, each at its index."""
        table = next((one for one in self.sections if one.type == SYMTAB), None)
        if table is None:
            return
        if table.link >= len(self.sections):
            raise ValueError("is damaged: its symbols have no names")
        names = bytes(self.sections[table.link].data)
        whole = len(table.data) // _SYMBOL.size * _SYMBOL.size
        for name, info, _, section, value, size in _SYMBOL.iter_unpack(table.data[:whole]):
            yield Symbol(_string(names, name), info & 0xF, info >> 4, section, value, size)


def read(data: bytes) -> Elf:
    """Return what an ELF file has; raises ValueError, the end of a sentence about the file."""
    if not data.startswith(b"\x7fELF"):
        raise ValueError("is no ELF file")
    if len(data) < _HEADER.size:
        raise ValueError("is cut off: its header is not whole")
    ident, kind, machine, *_ = _HEADER.unpack_from(data)
    if ident[5] == 2:
        raise ValueError(f"is a big-endian ELF file{_of(*struct.unpack_from('>H', data, 18))}")
    if ident[4] != 2:
        raise ValueError(f"is a 32-bit ELF file{_of(machine)}")
    return Elf(kind, machine, tuple(_sections(data)))


def machine_name(machine: int) -> str:
    """Return what a machine is called, such as AArch64."""
    from elftools.elf.descriptions import describe_e_machine
    from elftools.elf.enums import ENUM_E_MACHINE

    name = next((name for name, value in ENUM_E_MACHINE.items() if value == machine), "")
    described = str(describe_e_machine(name))
    if described != "<unknown>":
        return described
    return name.removeprefix("EM_") or f"machine {machine}"


def _of(machine: int) -> str:
    return f" for {machine_name(machine)}"


def _sections(data: bytes) -> Iterator[Section]:
    at, entry, count, names_at = struct.unpack_from("<Q10xHHH", data, 40)
    if not at:
        return
    if entry != _SECTION.size:
        raise ValueError("is damaged: its section headers have a wrong size")
    if count == 0:  # more than 65,279: the number is in the first one
        count = _header(data, at)[5]
    if count > _SECTIONS:
        raise ValueError(f"has {count} sections, more than {_SECTIONS}")
    headers = [_header(data, at + number * entry) for number in range(count)]
    names = b""
    if names_at < count:
        names = bytes(_content(data, headers[names_at], "its section names"))
    held = 0
    for header in headers:
        name, kind, flags, _, _, size, link, info, _, _ = header
        called = _string(names, name)
        content = _content(data, header, f"section {printable(called, 60)}")
        held += len(content)
        if held > len(data):
            raise ValueError("is damaged: its sections overlap")
        yield Section(called, kind, flags, size, link, info, content)


def _header(data: bytes, at: int) -> tuple[int, ...]:
    if at + _SECTION.size > len(data):
        raise ValueError("is cut off: its section headers are not there")
    return _SECTION.unpack_from(data, at)


def _content(data: bytes, header: tuple[int, ...], what: str) -> memoryview:
    _, kind, _, _, at, size, *_ = header
    if kind in (0, NOBITS):
        return memoryview(b"")
    if at + size > len(data):
        raise ValueError(f"is cut off: {what} ends behind its end")
    return memoryview(data)[at : at + size]


def _string(table: bytes, at: int) -> str:
    end = table.find(b"\0", at, at + _NAME)
    return table[at : max(at, end)].decode("utf-8", "surrogateescape")
