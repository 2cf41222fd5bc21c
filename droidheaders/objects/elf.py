"""The sections and symbols of a 64-bit little-endian ELF file, without trusting one byte of it.

pyelftools reads a name to its end, however far that is, and what takes no place in a file as zeros
of any size; its sections and symbols cost 0.1 ms each, its import 45 ms. So only its names of
machines serve here, for sentences about a file that is refused, and headers, sections and symbols
are read by their layouts in elf.h, in time and memory that a file's size and the limits below
bound. Nothing is read that lies outside of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from droidheaders.ui import printable

EXECUTABLE, SHARED, CORE = 2, 3, 4
REL = 1
EM_BPF = 247
PROGBITS, SYMTAB, NOBITS, SHT_REL = 1, 2, 8, 9
ALLOC, EXECINSTR = 0x2, 0x4
UNDEFINED, ABSOLUTE = 0, 0xFFF1
WEAK = 2
NAME = 1024
"""As much of a name is read, in bytes; the kernel's own limit is 512 (KSYM_NAME_LEN)."""

_SECTIONS = 1 << 14  # modules have 30 to 200, a BPF object of a thousand programs 2,000
_SYMBOLS = 1 << 20  # xfs.ko has 14,000
_NAMES = 64 << 20  # bytes of names, which may overlap; those of a whole vmlinux have 10 MB
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
    """One symbol; in section UNDEFINED it is somebody else's, in ABSOLUTE a number."""

    name: str
    kind: int
    bind: int
    section: int
    value: int
    size: int


@dataclass(frozen=True)
class Elf:
    """An ELF file: e_type, e_machine, and its sections, each at its index; the first is none."""

    type: int
    machine: int
    sections: tuple[Section, ...]

    def section(self, name: str, flags: int = 0) -> Section | None:
        """Return the first section of a name that has these flags, or None."""
        return next(
            (one for one in self.sections[1:] if one.name == name and one.flags & flags == flags),
            None,
        )

    def content(self, name: str) -> memoryview:
        """Return what is in the first section of a name, nothing where there is none."""
        section = self.section(name)
        return section.data if section else memoryview(b"")

    def symbols(self) -> Iterator[Symbol]:
        """Yield the symbols of the first table, each at its index; the first is none.

        Raises ValueError, the end of a sentence about the file.
        """
        table = next((one for one in self.sections if one.type == SYMTAB), None)
        if table is None:
            return
        names = bytes(self.sections[table.link].data) if table.link < len(self.sections) else b""
        if not names.endswith(b"\0"):
            raise ValueError("is damaged: its symbols have no names")
        if len(table.data) > _SYMBOLS * _SYMBOL.size:
            raise ValueError(f"has more than {_SYMBOLS} symbols")
        known = {0: string(names, 0)}
        left = _NAMES
        for at, info, _, section, value, size in records(_SYMBOL, table.data):
            name = known.get(at)
            if name is None:
                name = known[at] = string(names, at)
                left -= len(name)
                if left < 0:
                    raise ValueError(f"has more than {_NAMES >> 20} MiB of names")
            yield Symbol(name, info & 0xF, info >> 4, section, value, size)


def read(data: bytes) -> Elf:
    """Return what an ELF file has; raises ValueError, the end of a sentence about the file."""
    if not data.startswith(b"\x7fELF"):
        raise ValueError("is no ELF file")
    if len(data) < _HEADER.size:
        raise ValueError("is cut off: its header is not whole")
    ident, kind, machine, *_ = _HEADER.unpack_from(data)
    if ident[5] == 2:
        of = machine_name(*struct.unpack_from(">H", data, 18))
        raise ValueError(f"is a big-endian ELF file for {of}, and Android is little-endian")
    if ident[4] == 1:
        of = machine_name(machine)
        raise ValueError(f"is a 32-bit ELF file for {of}, and only 64-bit ones are read")
    if ident[4:6] != b"\x02\x01":
        raise ValueError("is damaged: its header tells neither 32 bits nor 64")
    return Elf(kind, machine, tuple(_sections(data)))


def machine_name(machine: int) -> str:
    """Return what a machine is called, such as AArch64."""
    from elftools.elf.descriptions import describe_e_machine

    name = enumerator(machine)
    described = str(describe_e_machine(f"EM_{name}"))
    return (name or f"machine {machine}") if described == "<unknown>" else described


def enumerator(machine: int) -> str:
    """Return the name of a machine in elf.h without its EM_, such as AARCH64, or ""."""
    from elftools.elf.enums import ENUM_E_MACHINE

    name = next((name for name, value in ENUM_E_MACHINE.items() if value == machine), "")
    return str(name).removeprefix("EM_")


def records(layout: struct.Struct, data: memoryview) -> Iterator[tuple[int, ...]]:
    """Return an iterator over the records of a table, without what is left at its end."""
    return layout.iter_unpack(data[: len(data) // layout.size * layout.size])


def string(table: bytes, at: int) -> str:
    """Return the name at a place of a table, at most NAME bytes of it."""
    end = table.find(b"\0", at, at + NAME)
    return text(table[at : end if end >= 0 else at + NAME])


def text(name: bytes) -> str:
    """Return a name that may be of any bytes, so that it has them back when it is encoded again."""
    return name.decode("utf-8", "surrogateescape")


def _sections(data: bytes) -> Iterator[Section]:
    at, entry, count, names_at = struct.unpack_from("<Q10xHHH", data, 40)
    if not at:
        return
    if entry != _SECTION.size:
        raise ValueError(f"is damaged: it says that its section headers have {entry} bytes")
    if not count:  # or as many as the field does not hold: elf(5)
        raise ValueError("is damaged: it says that it has no sections, and where they are")
    if count > _SECTIONS:
        raise ValueError(f"has {count} sections, more than {_SECTIONS}")
    if at + count * entry > len(data):
        raise ValueError("is cut off: its section headers, which come last, are not all there")
    headers = [_SECTION.unpack_from(data, at + number * entry) for number in range(count)]
    if not 0 < names_at < count:
        raise ValueError("is damaged: its sections have no names")
    names = bytes(_content(data, headers[names_at], "the section of its names"))
    held = 0
    for header in headers:
        name, kind, flags, _, _, size, link, info, _, _ = header
        called = string(names, name)
        content = _content(data, header, f"section {printable(called, 60)}")
        held += len(content)
        if held > len(data):
            raise ValueError("is damaged: its sections overlap")
        yield Section(called, kind, flags, size, link, info, content)


def _content(data: bytes, header: tuple[int, ...], what: str) -> memoryview:
    _, kind, _, _, at, size, *_ = header
    if kind in (0, NOBITS):
        return memoryview(b"")
    if at + size > len(data):
        raise ValueError(f"is cut off: {what} ends behind the file's end")
    return memoryview(data)[at : at + size]
