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
from droidheaders.objects.sections import Sections
from droidheaders.objects.signature import Signature, signature_of

LIMIT = 256 << 20  # bytes, uncompressed; Debian's largest, without debug data, have 6 MB
_SYMBOLS = 1 << 20  # xfs.ko has 14,000
_NAMED = 1 << 16  # undefined or exported; xfs.ko asks for 455
_NAME = 512  # KSYM_NAME_LEN, include/linux/kallsyms.h
_MODINFO = 4 << 20
_TOLD = (b"__ksymtab_", b"__crc_", b"__kstrtabns_", b"__flags_", b"__cfi_", b"__kcfi_typeid_")
_SHN_UNDEF, _SHN_ABS = 0, 0xFFF1
_STB_WEAK = 2


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
    with path.open("rb") as file:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is no file")
        if status.st_size > LIMIT:
            raise ValueError(f"is larger than {LIMIT >> 20} MiB")
        return parse(file.read(LIMIT + 1))


def parse(data: bytes) -> Module:
    """Return the module in a file's content, which may be compressed; content tells, not a name.

    Raises ValueError, the end of a sentence about the file: it is damaged, or no kernel module.
    """
    data, compression = _unpacked(data)
    sections = Sections(data)
    symbols = _Symbols(sections)
    crcs, basic = _versions(sections)
    comment = sections.content(".comment", 1 << 16)
    info = _modinfo(sections.content(".modinfo", _MODINFO))
    exports = symbols.exports(info.get("name", ("",))[0].replace("-", "_"))
    this = sections.find(".gnu.linkonce.this_module")
    if not info and this is None:
        raise ValueError("is no kernel module: it has no .modinfo")
    return Module(
        arch=sections.arch,
        size=len(data),
        compression=compression,
        modinfo=info,
        undefined=frozenset(symbols.undefined),
        weak=frozenset(symbols.weak),
        versions=crcs,
        basic_versions=basic,
        exports=exports,
        this_module=this.size if this else 0,
        sections=frozenset(sections.names),
        compilers=_strings(comment),
        compiler=of_comment(comment),
        build_id=build_id_of_notes(sections.content(".note.gnu.build-id", 1 << 12)),
        signature=signature_of(data),
        protections=symbols.protections,
    )


def _unpacked(data: bytes) -> tuple[bytes, str]:
    from droidheaders.headers import inflate  # late: half of all modules are not compressed
    from droidheaders.headers.limits import ArchiveError

    if data.startswith(b"\x7fELF"):
        return data, ""
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


def _versions(sections: Sections) -> tuple[dict[str, int] | None, bool]:
    """Return the CRC of each symbol that the module has one for, and whether __versions is there.

    An entry of __versions is struct modversion_info: an unsigned long and a name, 64 bytes. Names
    that are longer are in the pair of sections that 6.14 brought (54ac1ac8edeb, fc7d5e3210ae), and
    where those are, the kernel looks nowhere else.
    """
    basic = sections.find("__versions", allocated=True)
    crcs = sections.find("__version_ext_crcs", allocated=True)
    names = sections.find("__version_ext_names", allocated=True)
    if crcs and names:
        words = struct.iter_unpack("<I", _whole(sections.data(crcs), 4))
        texts = bytes(sections.data(names)).split(b"\0", _NAMED)
        entries: Iterator[Any] = ((crc, text) for (crc,), text in zip(words, texts, strict=False))
    elif basic:
        entries = struct.iter_unpack("<Q56s", _whole(sections.data(basic), 64))
    else:
        return None, False
    found: dict[str, int] = {}
    for crc, name in entries:
        found.setdefault(name[:_NAME].partition(b"\0")[0].decode("utf-8", "replace"), crc)
        if len(found) > _NAMED:
            raise ValueError(f"has more than {_NAMED} CRCs")
    return found, basic is not None


def _whole(data: memoryview, size: int) -> memoryview:
    return data[: len(data) // size * size]


class _Symbols:
    """What the symbol table tells, in one pass: elf(5), Elf64_Sym."""

    def __init__(self, sections: Sections) -> None:
        self._sections = sections
        self.undefined: set[str] = set()
        self.weak: set[str] = set()
        self.protections: frozenset[str] = frozenset()
        self._told: dict[bytes, tuple[int, int]] = {}  # name to section number and value
        table, strings = sections.symbols()
        if table.size // 24 > _SYMBOLS:
            raise ValueError(f"has more than {_SYMBOLS} symbols")
        for name, info, _, section, value, _ in struct.iter_unpack(
            "<IBBHQQ", _whole(sections.data(table), 24)
        ):
            if section == _SHN_UNDEF:
                if name:
                    text = _string(strings, name).decode("utf-8", "replace")
                    (self.weak if info >> 4 == _STB_WEAK else self.undefined).add(text)
            elif strings.startswith(_TOLD, name):
                self._told[_string(strings, name)] = (section, value)
            if max(len(self.undefined), len(self.weak), len(self._told) >> 3) > _NAMED:
                raise ValueError(f"asks for, or exports, more than {_NAMED} symbols")
        self.protections = frozenset(self._protected())

    def exports(self, module: str) -> dict[str, Export]:
        """Return what the module exports itself.

        EXPORT_SYMBOL(x) makes __ksymtab_x, __kstrtabns_x (5.4 on) and __crc_x, whose section tells
        about the licence, and in newer kernels __flags_x does: include/linux/export-internal.h.
        """
        found = {}
        prefix = b"__ksymtab_"
        for label, (number, _) in self._told.items():
            if label.startswith(prefix) and (section := self._sections.number(number)):
                name = label.removeprefix(prefix)
                flags = self._bytes(b"__flags_" + name, 1)
                gpl = bool(flags[0] & 1) if flags else "_gpl" in section.name
                namespace = self._bytes(b"__kstrtabns_" + name, _NAME)
                found[name.decode("utf-8", "replace")] = Export(
                    self._crc(name),
                    namespace.partition(b"\0")[0].decode("utf-8", "replace"),
                    gpl,
                    module or None,
                )
        return found

    def _crc(self, name: bytes) -> int | None:
        """Return a CRC: the value of its symbol, or since 4.10 what the symbol points at."""
        number, value = self._told.get(b"__crc_" + name, (_SHN_UNDEF, 0))
        if number == _SHN_ABS:
            return value & 0xFFFFFFFF
        word = self._bytes(b"__crc_" + name, 4)
        return int.from_bytes(word, "little") if len(word) == 4 else None

    def _bytes(self, label: bytes, size: int) -> bytes:
        number, value = self._told.get(label, (_SHN_UNDEF, 0))
        section = self._sections.number(number)
        return bytes(self._sections.data(section)[value : value + size]) if section else b""

    def _protected(self) -> Iterator[str]:
        if b"__cfi_check" in self._told:
            yield "cfi"
        kcfi = (b"__cfi_", b"__kcfi_typeid_")
        told = any(n.startswith(kcfi) for n in self._told if not n.startswith(b"__cfi_check"))
        if told or ".kcfi_traps" in self._sections.names:
            yield "kcfi"


def _string(strings: bytes, at: int) -> bytes:
    return strings[at : at + _NAME].partition(b"\0")[0]
