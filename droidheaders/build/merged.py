"""What is known of a kernel's symbols, put together once and kept: 14,000 of them take 0.1 s.

    derived/NAME/symvers-KEY/Module.symvers    as modpost reads it, what it may know of
    derived/NAME/symvers-KEY/exports.json      what a module is judged by, of each symbol
    derived/NAME/symvers-KEY/told.json         how much is known, and by whom

KEY stands for the content of every file that tells of them, so that what is kept cannot be of
others.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from droidheaders.build import symvers
from droidheaders.cache import Bundle, Cache
from droidheaders.errors import DroidheadersError
from droidheaders.kernel.exports import Export, Exports

_FORMAT = "1"  # counts up when the same files make something else


@dataclass(frozen=True)
class Merged:
    """What is kept in the directory `path`.

    `coverage` and `whole` are as those of `Symvers`, `source` as that of its exports.
    """

    path: Path
    coverage: Mapping[str, int]
    whole: bool
    source: str

    def text(self) -> str:
        """Return the Module.symvers; with CRCs that count, of the symbols that have one."""
        return _read(self.path / "Module.symvers")

    def exports(self) -> Exports:
        """Return what a module is judged by."""
        try:
            symbols = _Symbols(json.loads(_read(self.path / "exports.json")))
        except ValueError as e:
            raise _damaged(self.path) from e
        return Exports(symbols, self.whole, self.source)


class _Symbols(Mapping[str, Export]):
    """Exports that are made when they are asked for: of thousands a module wants a few."""

    def __init__(self, told: dict[str, list[Any]]) -> None:
        self._told = told

    def __getitem__(self, name: str) -> Export:
        return Export(*self._told[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._told)

    def __len__(self) -> int:
        return len(self._told)

    def __contains__(self, name: object) -> bool:
        return name in self._told


def merged(
    cache: Cache, bundle: Bundle, official: Sequence[Path] = (), *, versioned: bool
) -> Merged:
    """Return what `symvers.of` does, kept; raises as that.

    Where CRCs count, the kernel being `versioned`, modpost may not know of a symbol without one:
    with a CRC of 0 it would make a module that the kernel refuses.
    """
    sources = symvers.read(cache, bundle, official)

    def maker(place: Path) -> None:
        known = sources.merged()
        symbols = known.symbols.items()
        usable = [n for n, one in symbols if one.export.crc is not None or not versioned]
        exports = {
            name: [e.crc, e.namespace, e.gpl, e.module]
            for name, one in symbols
            for e in (one.export,)
        }
        told = {
            "coverage": known.coverage,
            "whole": known.whole,
            "source": known.source,
        }
        _write(place / "Module.symvers", known.text(usable))
        _write(place / "exports.json", json.dumps(exports, separators=(",", ":")))
        _write(place / "told.json", json.dumps(told))

    key = [_FORMAT, sources.key, str(versioned)]
    place = cache.derived.make(bundle, "symvers", key, maker)
    try:
        return Merged(place, **json.loads(_read(place / "told.json")))
    except (ValueError, TypeError) as e:
        raise _damaged(place) from e


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as e:
        raise _damaged(path.parent) from e


def _damaged(place: Path) -> DroidheadersError:
    return DroidheadersError(f"{place} is damaged", f"rm -r {shlex.quote(str(place))}")
