"""The sections of a relocatable ELF file, by name and by number: elf(5).

pyelftools knows the headers. Its own sections and symbols cost 0.1 ms each, so that what they
refer to is cut out of the file here, and only after it was seen to lie within.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from droidheaders.ui import printable

_MANY = 1 << 14  # real modules have 30 to 200; 50 us each
_SHF_ALLOC = 2
# e_machine to the kernel's own directory below arch/ (include/uapi/linux/elf-em.h).
_ARCH = {
    "EM_AARCH64": "arm64",
    "EM_X86_64": "x86",
    "EM_386": "x86",
    "EM_ARM": "arm",
    "EM_RISCV": "riscv",
    "EM_PPC64": "powerpc",
    "EM_S390": "s390",
    "EM_LOONGARCH": "loongarch",
}
_TYPES = {
    "ET_EXEC": "it is a program",
    "ET_DYN": "it is a shared library",
    "ET_CORE": "it is a core dump",
}


@dataclass(frozen=True)
class Section:
    """A section's header, as far as anything here asks for it; `offset` and `size` in bytes."""

    name: str
    kind: str
    allocated: bool
    offset: int
    size: int
    link: int


class Sections:
    """The sections of a 64-bit little-endian relocatable file, all of which lie within it."""

    def __init__(self, data: bytes) -> None:
        """Read the headers; ValueError, the end of a sentence about the file, if it is no such."""
        self._data = memoryview(data)
        try:
            headers = _headers(data)
        except ValueError:
            raise
        except Exception as e:  # pyelftools trusts its input: what it raises is whatever happens
            raise ValueError(f"is cut off or damaged: {printable(str(e), 80)}") from e
        self.arch, names_at, raw = headers
        for header in raw:
            if header["sh_type"] not in ("SHT_NULL", "SHT_NOBITS") and (
                header["sh_offset"] + header["sh_size"] > len(data)
            ):
                raise ValueError("is cut off: a section ends behind the file's end")
        if not 0 < names_at < len(raw):
            raise ValueError("is damaged: its sections have no names")
        names = _cut(self._data, raw[names_at]["sh_offset"], raw[names_at]["sh_size"])
        self._all = [_section(header, names) for header in raw]
        self._by_name: dict[str, Section] = {}
        for section in self._all[1:]:
            self._by_name.setdefault(section.name, section)

    @property
    def names(self) -> frozenset[str]:
        """Return the names of all sections."""
        return frozenset(self._by_name)

    def find(self, name: str, *, allocated: bool = False) -> Section | None:
        """Return the first section of that name, or None; `allocated` is what find_sec() asks."""
        section = self._by_name.get(name)
        return section if section and (section.allocated or not allocated) else None

    def number(self, number: int) -> Section | None:
        """Return the section of that number, or None where there is none."""
        return self._all[number] if 0 < number < len(self._all) else None

    def data(self, section: Section) -> memoryview:
        """Return what is in the section, nothing for one that takes no place in the file."""
        empty = section.kind in ("SHT_NULL", "SHT_NOBITS")
        return _cut(self._data, section.offset, 0 if empty else section.size)

    def content(self, name: str, limit: int) -> bytes:
        """Return what is in the section of that name, if any; ValueError above `limit` bytes."""
        section = self.find(name)
        if section is None:
            return b""
        data = self.data(section)
        if len(data) > limit:
            raise ValueError(f"has a {name} of {len(data)} bytes, more than {limit}")
        return bytes(data)

    def symbols(self) -> tuple[Section, bytes]:
        """Return the symbol table and its strings; ValueError unless there is exactly one."""
        tables = [section for section in self._all if section.kind == "SHT_SYMTAB"]
        if len(tables) != 1:
            raise ValueError("has no symbol table, so it was stripped, and no kernel loads it")
        strings = self.number(tables[0].link)
        data = bytes(self.data(strings)) if strings else b""
        if not data.endswith(b"\0"):
            raise ValueError("is damaged: its symbols have no names")
        return tables[0], data


def _headers(data: bytes) -> tuple[str, int, list[Any]]:
    """Return the kernel's name of the architecture, the number of the names' section, headers."""
    if data[4:6] == b"\x02\x02" or data[4:6] == b"\x01\x02":
        raise ValueError("is of big endian, which no Android device is")
    if data[4:5] == b"\x01":
        raise ValueError("is a 32-bit file, and only 64-bit ones are read")
    from elftools.common.utils import struct_parse  # late: 45 ms
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(data))
    header = elf.header
    if header["e_type"] != "ET_REL":
        what = _TYPES.get(header["e_type"], "it is no relocatable ELF file")
        raise ValueError(f"is no kernel module: {what}")
    count, size, at = header["e_shnum"], header["e_shentsize"], header["e_shoff"]
    if count > _MANY or size != elf.structs.Elf_Shdr.sizeof():
        raise ValueError(f"is damaged: it says that it has {count} sections of {size} bytes")
    if not at or at + count * size > len(data):
        raise ValueError("is cut off: its section headers, which come last, are not all there")
    shdr, stream = elf.structs.Elf_Shdr, elf.stream
    raw = [struct_parse(shdr, stream, at + number * size) for number in range(count)]
    machine = header["e_machine"]
    arch = _ARCH.get(machine, str(machine).removeprefix("EM_").lower())
    return arch, header["e_shstrndx"], raw


def _section(header: Any, names: memoryview) -> Section:
    name = bytes(names[header["sh_name"] : header["sh_name"] + 128]).partition(b"\0")[0]
    return Section(
        name.decode("utf-8", "replace"),
        str(header["sh_type"]),
        bool(header["sh_flags"] & _SHF_ALLOC),
        header["sh_offset"],
        header["sh_size"],
        header["sh_link"],
    )


def _cut(data: memoryview, offset: int, size: int) -> memoryview:
    return data[offset : offset + size]
