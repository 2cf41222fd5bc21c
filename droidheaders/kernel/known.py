"""What several sources together know of a kernel's exported symbols, and which said what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from droidheaders.kernel.exports import Export
from droidheaders.ui import printable

Kind = Literal["official", "image", "exports", "versions"]

TRUST: tuple[Kind, ...] = ("official", "image", "exports", "versions")
"""From the one to trust most: a Module.symvers of the very build, the table in the kernel's image,
the tables of modules that export (__kcrctab), and what modules expect of others (__versions)."""

_FROM = {"official": "", "image": "", "exports": "__kcrctab of ", "versions": "__versions of "}


@dataclass(frozen=True)
class Known:
    """One exported symbol, and who says so: a file's name, or a module's, as `kind` tells."""

    export: Export
    kind: Kind
    source: str

    def __str__(self) -> str:
        return f"{_FROM[self.kind]}{printable(self.source, 200)}"


@dataclass(frozen=True)
class Table:
    """What one source says, by symbol.

    `whole` tells that it has every symbol that the kernel itself exports.
    """

    kind: Kind
    symbols: Mapping[str, Known]
    whole: bool = False


class ConflictError(ValueError):
    """Two sources have different CRCs for a symbol, so that one of them is of another kernel."""

    def __init__(self, symbol: str, known: Known, other: Known) -> None:
        super().__init__(
            f"{printable(symbol, 64)} has CRC {known.export.crc:#010x} in {known},"
            f" and {other.export.crc:#010x} in {other}"
        )


def merge(tables: Iterable[Table]) -> dict[str, Known]:
    """Return what the tables know together, each symbol from the one to trust most.

    That one is who told the CRC, if any did. What it does not say of a symbol, such as the
    namespace, is what the next one says. Raises ConflictError.
    """
    found: dict[str, Known] = {}
    for table in sorted(tables, key=lambda table: TRUST.index(table.kind)):
        for name, other in table.symbols.items():
            known = found.get(name)
            found[name] = other if known is None else _together(name, known, other)
    return found


def _together(name: str, known: Known, other: Known) -> Known:
    """Return both as one; the first is the one to trust more."""
    ours, theirs = known.export, other.export
    if ours.crc is not None and theirs.crc is not None and ours.crc != theirs.crc:
        raise ConflictError(name, known, other)
    export = Export(
        theirs.crc if ours.crc is None else ours.crc,
        theirs.namespace if ours.namespace is None else ours.namespace,
        theirs.gpl if ours.gpl is None else ours.gpl,
        ours.module or theirs.module,
    )
    if export == ours:
        return known
    told = other if ours.crc is None and theirs.crc is not None else known
    return replace(told, export=export)
