"""What a kernel exports to modules, as far as one source of it tells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from droidheaders.ui import printable

_LIMIT = 64 << 20  # characters; a Module.symvers has 1 MB, all of /proc/kallsyms 3 to 12
_SYMVERS = re.compile(  # names have up to 511 characters: KSYM_NAME_LEN, include/linux/kallsyms.h
    r"0x([0-9a-fA-F]{1,8})\t([^\t]{1,511})\t(?:([^\t]*)\t)??([^\t]*)\t(EXPORT_\w*)(?:\t([^\t]*?))?\r?"
)


@dataclass(frozen=True)
class Export:
    """One exported symbol; None is what the source does not tell.

    `namespace` is "" for a symbol in none; `module` is "vmlinux" or the module that exports it.
    """

    crc: int | None = None
    namespace: str | None = None
    gpl: bool | None = None
    module: str | None = None


@dataclass(frozen=True)
class Exports:
    """Exports by name. When `complete`, a name that is not among them is not exported.

    By the kernel itself, that is, and by the modules that the source knows: of another module, such
    as one that is not loaded, nothing is said. `source` says where they are from, for a sentence.
    """

    symbols: Mapping[str, Export]
    complete: bool
    source: str


def of_symvers(text: str, source: str = "Module.symvers") -> Exports:
    """Return what a Module.symvers says; of a symbol that is in it twice, the first line holds.

    A line has a CRC, a symbol, who exports it, how, and since 5.4 a namespace; that came third
    until 5.6 (5190044c2965). A CRC of 0 is none: a kernel without MODVERSIONS, or a symbol of
    assembler. Complete when vmlinux is in it: that of a module on its own has only its exports.
    Raises ValueError, the end of a sentence about the file, when a line is no such line.
    """
    if len(text) > _LIMIT:
        raise ValueError(f"is larger than {_LIMIT >> 20} MiB")
    found: dict[str, Export] = {}
    modules: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if told := _SYMVERS.fullmatch(line):
            crc, name, third, path, how, namespace = told.groups()
            # Who exports it is the path of an object: drivers/net/foo-bar is the module foo_bar.
            module = modules.get(path) or modules.setdefault(path, _module(path))
            space = third or namespace or ""
            found.setdefault(name, Export(int(crc, 16) or None, space, "_GPL" in how, module))
        elif line.rstrip("\r"):
            raise ValueError(f"is no Module.symvers: line {number} is {printable(line, 60)!r}")
    if not found:
        raise ValueError("has no symbols")
    whole = any(export.module == "vmlinux" for export in found.values())
    return Exports(found, whole, source)


def _module(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".ko").replace("-", "_")


_KSYMTAB = re.compile(
    rb"^[0-9a-fA-F]+ . __ksymtab_([^\s.]{1,511})[^\s]*(?:[ \t]+\[(\S{1,64})\])?\s*$", re.M
)


def of_kallsyms(lines: bytes, source: str = "/proc/kallsyms") -> Exports:
    """Return what /proc/kallsyms, or its lines with __ksymtab_, say: who exports which symbol.

    EXPORT_SYMBOL(x) makes a symbol __ksymtab_x (include/linux/export-internal.h), in read-only
    data, which only KALLSYMS_ALL lists. It is there in vmlinux then, and in modules that were not
    stripped of local symbols. Addresses are not looked at, which kptr_restrict makes zero.
    Without any such line nothing is known: a name alone does not tell that it is exported, and
    one that is missing may be a variable, so that absence proves nothing either.
    """
    found: dict[str, Export] = {}
    for name, module in _KSYMTAB.findall(lines[:_LIMIT]):
        owner = module.decode("utf-8", "replace") if module else "vmlinux"
        found.setdefault(name.decode("utf-8", "replace"), Export(module=owner))
    return Exports(found, any(e.module == "vmlinux" for e in found.values()), source)


def of_versions(tables: Iterable[Mapping[str, int]], source: str = "its modules") -> Exports:
    """Return what the CRCs tell that a kernel's own modules expect, `versions` of each.

    They are the kernel's, as it loads these modules. A CRC that two of them dispute is unknown.
    """
    found: dict[str, int | None] = {}
    for table in tables:
        for name, crc in table.items():
            found[name] = crc if found.get(name, crc) == crc else None
    return Exports({n: Export(crc or None) for n, crc in found.items()}, False, source)


def merge(*sources: Exports) -> Exports:
    """Return what the sources know together; the one to trust most comes first.

    That is a Module.symvers of the very build, then tables of CRCs in an image or a module
    (__kcrctab), what modules expect (__versions), and kallsyms. Of each symbol, each thing is what
    the first source says that says it.
    """
    found: dict[str, Export] = {}
    for source in sources:
        for name, export in source.symbols.items():
            known = found.get(name)
            found[name] = export if known is None else _filled(known, export)
    named = " and ".join(source.source for source in sources if source.symbols)
    return Exports(found, any(source.complete for source in sources), named)


def _filled(known: Export, other: Export) -> Export:
    return Export(
        other.crc if known.crc is None else known.crc,
        other.namespace if known.namespace is None else known.namespace,
        other.gpl if known.gpl is None else known.gpl,
        known.module or other.module,
    )
