"""A kernel's Module.symvers, from all that tells of what it exports.

The CRCs of MODVERSIONS cannot be had from headers; but the kernel's image has them, its modules
have those that they export and those that they ask for, and who built the kernel has all of them.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from droidheaders.cache import Bundle, Cache, collected
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.kernel.exports import Exports, of_symvers
from droidheaders.kernel.known import TRUST, ConflictError, Known, Table, merge
from droidheaders.ui import printable, ui

_LARGEST = 64 << 20  # bytes of a Module.symvers; real ones have 1 MB


@dataclass(frozen=True)
class Symvers:
    """What is known of the symbols that the kernel `release` exports, by name.

    When it is `whole`, the kernel itself exports nothing else; its modules may.
    """

    symbols: Mapping[str, Known]
    release: str
    whole: bool

    @property
    def coverage(self) -> dict[str, int]:
        """Return how many symbols are known, and how many of them by each kind of source.

        Keys are "symbols", "crcs" (those with a CRC) and the names of kinds, where there are any.
        """
        kinds = Counter(known.kind for known in self.symbols.values())
        crcs = sum(known.export.crc is not None for known in self.symbols.values())
        counts: dict[str, int] = {kind: kinds[kind] for kind in TRUST if kinds[kind]}
        return {"symbols": len(self.symbols), "crcs": crcs, **counts}

    def text(self, names: Collection[str] | None = None) -> str:
        """Return a Module.symvers as modpost of this release reads it, of `names` or of all.

        A symbol without a CRC has 0. One whose exporter is not known stands as vmlinux's, and one
        whose licence is not known as for all: the kernel will look at that itself.
        """
        order = _order(self.release)
        chosen = self.symbols if names is None else {n: self.symbols[n] for n in names}
        return "".join(_line(name, known, order) for name, known in sorted(chosen.items()))

    def lacking(self, names: Iterable[str], *, crcs: bool = True) -> dict[str, str]:
        """Return those of `names` that a module cannot be built with, in order, each with why.

        With `crcs`, which kernels without MODVERSIONS do not need, that is "no CRC" too.
        """
        unknown = "not exported by the kernel" if self.whole else "not known"
        found = {}
        for name in sorted(names):
            known = self.symbols.get(name)
            if known is None:
                found[name] = unknown
            elif crcs and known.export.crc is None:
                found[name] = "no CRC"
        return found

    @property
    def source(self) -> str:
        """Return who tells of them, for a sentence."""
        kinds = self.coverage.keys() - {"symbols", "crcs"}
        names = {
            "official": "its Module.symvers",
            "image": "its image",
            "exports": "the tables of its modules",
            "versions": "what its modules expect",
        }
        return " and ".join(names[kind] for kind in TRUST if kind in kinds)

    def exports(self) -> Exports:
        """Return it as what a module is judged by."""
        symbols = {name: known.export for name, known in self.symbols.items()}
        return Exports(symbols, self.whole, self.source)


@dataclass(frozen=True)
class Sources:
    """All that tells of a bundle's symbols: the content of the files, which are read once.

    `official` are those of its builder, `brought` is the archive's own, where it has build
    artifacts, and `tables` are what was collected.
    """

    bundle: Bundle
    official: tuple[tuple[Path, bytes], ...]
    brought: bytes
    tables: tuple[bytes, ...]

    @property
    def key(self) -> str:
        """Return a digest of all of it."""
        content = hashlib.sha256()
        parts = [[data for _, data in self.official], [self.brought], self.tables]
        for part in parts:
            content.update(f"{[len(data) for data in part]}".encode())
            for data in part:
                content.update(data)
        return content.hexdigest()

    def merged(self) -> Symvers:
        """Return what they say together; raises as `of`."""
        tables = [of_data(file, data) for file, data in self.official]
        tables += self._brought()
        tables += collected.decoded(self.tables)
        try:
            symbols = merge(tables)
        except ConflictError as e:
            raise conflict(self.bundle, e) from e
        whole = any(table.whole for table in tables)
        return Symvers(symbols, self.bundle.kernel.release, whole)

    def _brought(self) -> list[Table]:
        """Return what the archive's own says; damaged it is left out, with a warning."""
        try:
            return [of_data(_own(self.bundle), self.brought)] if self.brought else []
        except UsageError as e:
            ui.warn(e.message)
            return []


def read(cache: Cache, bundle: Bundle, official: Sequence[Path] = ()) -> Sources:
    """Return all that tells of a bundle's symbols; UsageError for a file that cannot be read."""
    brought = b""
    try:
        if _own(bundle).is_file():
            brought = _content(_own(bundle))
    except UsageError as e:
        ui.warn(e.message)
    given = tuple((file, _content(file)) for file in official)
    return Sources(bundle, given, brought, collected.contents(cache, bundle))


def of(cache: Cache, bundle: Bundle, official: Sequence[Path] = ()) -> Symvers:
    """Return what was collected for a bundle, and what files of its builder say.

    Of neither there need be any: it has no symbols then. Raises UsageError for a file that cannot
    be read or is no Module.symvers, DroidheadersError when two sources contradict each other.
    """
    return read(cache, bundle, official).merged()


def _own(bundle: Bundle) -> Path:
    return bundle.headers / "Module.symvers"


def conflict(bundle: Bundle, error: ConflictError) -> DroidheadersError:
    """Return how a person is told of it."""
    return DroidheadersError(
        f"two tables of {bundle.kernel} contradict each other: {error}; one is of another kernel",
        f"leave that one out; droidheaders symvers --forget --bundle {shlex.quote(bundle.name)}"
        " drops what was collected",
    )


def of_file(file: Path) -> Table:
    """Return what a Module.symvers or vmlinux.symvers says; UsageError when it is none."""
    return of_data(file, _content(file))


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_LARGEST + 1)
    except OSError as e:
        name = printable(str(file), 200)
        hint = f"ls -l {shlex.quote(name)}"
        raise UsageError(f"cannot read {name}: {e.strerror or e}", hint) from e


def of_data(file: Path, data: bytes) -> Table:
    """Return what a file says that has this content; UsageError as `of_file`."""
    name = printable(str(file), 200)
    try:
        told = of_symvers(data.decode("utf-8", "replace"), name)
    except ValueError as e:
        hint = "give the Module.symvers or vmlinux.symvers of the kernel's own build"
        raise UsageError(f"{name} {e}", hint) from e
    symbols = {symbol: Known(export, "official", name) for symbol, export in told.symbols.items()}
    return Table("official", symbols, told.complete)


def _order(release: str) -> str:
    """Return where modpost wants the namespace: "none", "third" or "last".

    There is none before 5.4. It came third, and comes last since 5190044c2965, which is in 5.6, and
    went into 5.4 and 5.5 while they were maintained.
    """
    told = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    version = tuple(int(part or 0) for part in told.groups()) if told else (5, 6, 0)
    if version < (5, 4, 0):
        return "none"
    return "third" if version < (5, 4, 29) or (5, 5, 0) <= version < (5, 5, 14) else "last"


def _line(name: str, known: Known, order: str) -> str:
    export = known.export
    namespace, module = export.namespace or "", export.module or "vmlinux"
    how = "EXPORT_SYMBOL_GPL" if export.gpl else "EXPORT_SYMBOL"
    columns = [f"{export.crc or 0:#010x}", name, module, how]
    if order != "none":
        columns.insert(2 if order == "third" else 4, namespace)
    return "\t".join(columns) + "\n"
