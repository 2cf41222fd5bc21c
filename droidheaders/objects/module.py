"""A kernel module as a file: what it says of itself, and what it asks of the kernel.

Read as load_module() of kernel/module/main.c reads it: sections by name, symbols by section number,
the first entry of a name. Of a file only as much is taken as the kernel looks at.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from droidheaders.kernel.compiler import Compiler, of_comment
from droidheaders.kernel.exports import Export
from droidheaders.kernel.identity import build_id_of_notes
from droidheaders.objects import elf
from droidheaders.objects.elf import Elf
from droidheaders.objects.signature import Signature, signature_of

LIMIT = 256 << 20  # bytes, uncompressed; Debian's largest, without debug data, have 6 MB
_NAMED = 1 << 16  # undefined or exported; xfs.ko asks for 455
_MODINFO = 4 << 20
_TOLD = ("__ksymtab_", "__crc_", "__kstrtabns_", "__flags_", "__cfi_", "__kcfi_typeid_")
# e_machine to the kernel's own directory below arch/: include/uapi/linux/elf-em.h.
_ARCH = {
    3: "x86",
    21: "powerpc",
    22: "s390",
    40: "arm",
    62: "x86",
    183: "arm64",
    243: "riscv",
    258: "loongarch",
}
_TYPES = {
    elf.EXECUTABLE: "it is a program",
    elf.SHARED: "it is a shared library",
    elf.CORE: "it is a core dump",
}
_VERSION = struct.Struct("<Q56s")  # struct modversion_info, include/linux/module.h
_CRC = struct.Struct("<I")


@dataclass(frozen=True)
class Module:
    """A module's own words; texts may hold what a terminal does not take.

    `arch` is the kernel's name of it, as in arch/NAME. `size` is of the file without compression,
    in bytes, and `compression` gzip, xz, zstd, lz4 or "". `undefined` and `weak` are the symbols
    that it asks for, and may do without. `versions` are the CRCs of those by name, None when it has
    no section for them; `basic_versions` tells whether it has __versions, which vermagic's check
    looks for. `this_module` is the size of its struct module in bytes, 0 when there is none.
    `protections` has cfi (of Linux 4.19 to 6.0) and kcfi, where a symbol or section tells.
    """

    arch: str
    size: int
    compression: str
    modinfo: Mapping[str, tuple[str, ...]]
    undefined: frozenset[str]
    weak: frozenset[str]
    versions: Mapping[str, int] | None
    basic_versions: bool
    exports: Mapping[str, Export]
    this_module: int
    sections: frozenset[str]
    compilers: tuple[str, ...]
    compiler: Compiler | None
    build_id: str
    signature: Signature | None
    protections: frozenset[str]

    def info(self, key: str) -> str:
        """Return what .modinfo says under a key, the first if it says more, or ""."""
        return self.modinfo.get(key, ("",))[0]

    @property
    def name(self) -> str:
        """Return the name that lsmod shows, or "" for a module that does not say it."""
        return self.info("name").replace("-", "_")

    @property
    def depends(self) -> tuple[str, ...]:
        """Return the names of the modules that it was built to use."""
        return tuple(n.replace("-", "_") for n in self.info("depends").split(",") if n)


def read(path: Path) -> Module:
    """Return the module in a file; ValueError as `parse` raises it, OSError as opening does."""
    return parse(content(path))


def content(path: Path) -> bytes:
    """Return what a module's file holds; ValueError for what is no file, or too large for one."""
    with path.open("rb") as file:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is no file")
        if status.st_size > LIMIT:
            raise ValueError(f"is larger than {LIMIT >> 20} MiB")
        return file.read(LIMIT + 1)


def parse(data: bytes) -> Module:
    """Return the module in a file's content, which may be compressed; content tells, not a name.

    Raises ValueError, the end of a sentence about the file: it is damaged, or no kernel module.
    """
    data, compression = unpacked(data)
    file = elf.read(data)
    if file.type != elf.REL:
        what = _TYPES.get(file.type, "it is no relocatable ELF file")
        raise ValueError(f"is no kernel module: {what}")
    symbols = _Symbols(file)
    crcs, basic = _versions(file)
    comment = _content(file, ".comment", 1 << 16)
    info = _modinfo(_content(file, ".modinfo", _MODINFO))
    exports = symbols.exports(info.get("name", ("",))[0].replace("-", "_"))
    this = file.section(".gnu.linkonce.this_module")
    if not info and this is None:
        raise ValueError("is no kernel module: it has no .modinfo")
    return Module(
        arch=_ARCH.get(file.machine) or elf.enumerator(file.machine).lower() or str(file.machine),
        size=len(data),
        compression=compression,
        modinfo=info,
        undefined=frozenset(symbols.undefined),
        weak=frozenset(symbols.weak),
        versions=crcs,
        basic_versions=basic,
        exports=exports,
        this_module=this.size if this else 0,
        sections=frozenset(section.name for section in file.sections[1:]),
        compilers=_strings(comment),
        compiler=of_comment(comment),
        build_id=build_id_of_notes(_content(file, ".note.gnu.build-id", 1 << 12)),
        signature=signature_of(data),
        protections=symbols.protections,
    )


def unpacked(data: bytes) -> tuple[bytes, str]:
    """Return a module's ELF file, and by what it was compressed; raises as `parse` does."""
    if data.startswith(b"\x7fELF"):
        return data, ""
    from droidheaders.headers import inflate  # late: half of all modules are not compressed
    from droidheaders.headers.limits import ArchiveError

    try:
        pieces = inflate.inflated(memoryview(data))
        if pieces is None:
            raise ValueError("is empty" if not data else "is no kernel module: it is no ELF file")
        out = bytearray()
        for piece in pieces:
            out += piece
            if len(out) > LIMIT:
                raise ValueError(f"is larger than {LIMIT >> 20} MiB when it is decompressed")
    except ArchiveError as e:
        raise ValueError(str(e)) from e
    if not out.startswith(b"\x7fELF"):
        raise ValueError("is no kernel module: what is compressed in it is no ELF file")
    return bytes(out), inflate.name(data)


def _content(file: Elf, name: str, limit: int) -> bytes:
    data = file.content(name)
    if len(data) > limit:
        raise ValueError(f"has a {name} of {len(data)} bytes, more than {limit}")
    return bytes(data)


def _modinfo(section: bytes) -> dict[str, tuple[str, ...]]:
    """Return the fields of .modinfo: strings KEY=VALUE that end in zero bytes."""
    fields: dict[str, tuple[str, ...]] = {}
    for item in section.split(b"\0"):
        key, found, value = item.decode("utf-8", "replace").partition("=")
        if found:
            fields[key] = (*fields.get(key, ()), value) if len(fields) < _NAMED else ()
    return fields


def _strings(section: bytes) -> tuple[str, ...]:
    found = dict.fromkeys(s for s in section.decode("utf-8", "replace").split("\0") if s)
    return tuple(found)[:16]


def _versions(file: Elf) -> tuple[dict[str, int] | None, bool]:
    """Return the CRC of each symbol that the module has one for, and whether __versions is there.

    An entry of __versions has an unsigned long and a name, 64 bytes in all. Names that are longer
    are in the pair of sections that 6.14 brought (54ac1ac8edeb, fc7d5e3210ae), and where those are,
    the kernel looks nowhere else. Sections are those that are loaded: find_sec().
    """
    basic = file.section("__versions", elf.ALLOC)
    crcs = file.section("__version_ext_crcs", elf.ALLOC)
    names = file.section("__version_ext_names", elf.ALLOC)
    if crcs and names:
        texts = bytes(names.data).split(b"\0", _NAMED)
        words = elf.records(_CRC, crcs.data)
        entries: Iterator[Any] = ((crc, name) for (crc,), name in zip(words, texts, strict=False))
    elif basic:
        entries = elf.records(_VERSION, basic.data)
    else:
        return None, False
    found: dict[str, int] = {}
    for crc, name in entries:
        found.setdefault(elf.string(name, 0), crc)
        if len(found) > _NAMED:
            raise ValueError(f"has more than {_NAMED} CRCs")
    return found, basic is not None


class _Symbols:
    """What the symbol table tells."""

    def __init__(self, file: Elf) -> None:
        self._file = file
        self.undefined: set[str] = set()
        self.weak: set[str] = set()
        self._told: dict[str, tuple[int, int]] = {}  # name to section number and value
        tables = sum(section.type == elf.SYMTAB for section in file.sections)
        if tables > 1:
            raise ValueError(f"has {tables} symbol tables, and no kernel loads it")
        if not tables:
            raise ValueError("has no symbol table, so it was stripped, and no kernel loads it")
        for symbol in file.symbols():
            if symbol.section == elf.UNDEFINED:
                if symbol.name:
                    (self.weak if symbol.bind == elf.WEAK else self.undefined).add(symbol.name)
            elif symbol.name.startswith(_TOLD):
                self._told[symbol.name] = (symbol.section, symbol.value)
            if max(len(self.undefined), len(self.weak), len(self._told) >> 3) > _NAMED:
                raise ValueError(f"asks for, or exports, more than {_NAMED} symbols")
        self.protections = frozenset(self._protected())

    def exports(self, module: str) -> dict[str, Export]:
        """Return what the module exports itself.

        EXPORT_SYMBOL(x) makes __ksymtab_x, __kstrtabns_x (5.4 on) and __crc_x, whose section tells
        about the licence, and in newer kernels __flags_x does: include/linux/export-internal.h.
        """
        found = {}
        prefix = "__ksymtab_"
        for label, (number, _) in self._told.items():
            if label.startswith(prefix) and 0 < number < len(self._file.sections):
                name = label.removeprefix(prefix)
                flags = self._bytes(f"__flags_{name}", 1)
                in_gpl = "_gpl" in self._file.sections[number].name
                found[name] = Export(
                    self._crc(name),
                    elf.string(self._bytes(f"__kstrtabns_{name}", elf.NAME), 0),
                    bool(flags[0] & 1) if flags else in_gpl,
                    module or None,
                )
        return found

    def _crc(self, name: str) -> int | None:
        """Return a CRC: the value of its symbol, or since 4.10 what the symbol points at."""
        number, value = self._told.get(f"__crc_{name}", (elf.UNDEFINED, 0))
        if number == elf.ABSOLUTE:
            return value & 0xFFFFFFFF
        word = self._bytes(f"__crc_{name}", 4)
        return int.from_bytes(word, "little") if len(word) == 4 else None

    def _bytes(self, label: str, size: int) -> bytes:
        number, value = self._told.get(label, (elf.UNDEFINED, 0))
        if not 0 < number < len(self._file.sections):
            return b""
        return bytes(self._file.sections[number].data[value : value + size])

    def _protected(self) -> Iterator[str]:
        if "__cfi_check" in self._told:
            yield "cfi"
        kcfi = ("__cfi_", "__kcfi_typeid_")
        told = any(n.startswith(kcfi) for n in self._told if not n.startswith("__cfi_check"))
        if told or self._file.section(".kcfi_traps"):
            yield "kcfi"
