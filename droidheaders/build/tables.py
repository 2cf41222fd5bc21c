"""The tables of exported symbols in a kernel's image and in its modules.

Only of those of one very build: the modules of another one, or an image that somebody has replaced,
say nothing of this kernel.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from droidheaders.headers import wrapping
from droidheaders.headers.image import KernelImage, read_kernel
from droidheaders.kernel.exports import Export
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.known import ConflictError, Known, Table
from droidheaders.objects import ksymtab, module
from droidheaders.ui import printable

_SYMBOL = re.compile(r"[A-Za-z_.$][\w.$]{0,510}", re.ASCII)
_WORD = re.compile(r"[\x21-\x7e]{0,510}")
_ALL = 16 << 30  # bytes of modules, decompressed; a distribution's have 0.4 GB
_SYMBOLS = 1 << 18  # a distribution's kernel and modules export 15,000


def of_image(opened: wrapping.Unwrapped, kernel: KernelIdentity, name: str) -> Table:
    """Return the table of an uncompressed kernel; ValueError when it has none, or is of another."""
    if opened.content != wrapping.IMAGE:
        raise ValueError("is no kernel image")
    if other := _differs(read_kernel(opened.view), kernel):
        raise ValueError(f"is of another kernel than {kernel}: {other}")
    exports = ksymtab.read(opened.view)
    return Table("image", {n: Known(e, "image", name) for n, e in exports.items()}, whole=True)


def _differs(image: KernelImage, kernel: KernelIdentity) -> str:
    """Return what tells that an image is of another build than the kernel, or ""."""
    if image.build_id and kernel.build_id:
        same = image.build_id == kernel.build_id
        return "" if same else f"its build-id is {image.build_id}, and not {kernel.build_id}"
    if image.release != kernel.release:
        return f"it is {printable(image.release)}"
    if image.version and kernel.version and image.version != kernel.version:
        return f"it is {printable(image.version)}, and not {printable(kernel.version)}"
    return ""


class ModuleTables:
    """The tables of modules that are of one kernel build, or that it has loaded.

    `loaded` are the build-ids of the latter: vendors build theirs with another release of the same
    interface, and the kernel has compared their CRCs with its own.
    """

    def __init__(self, release: str, loaded: Collection[str] = ()) -> None:
        self._release = release
        self._loaded = loaded
        self._exports: dict[str, Known] = {}
        self._versions: dict[str, Known] = {}
        self._others: list[str] = []
        self._broken: list[str] = []
        self._left = _ALL
        self._unread = 0

    def add(self, name: str, data: bytes) -> None:
        """Read a module's tables; one of another kernel's is left out. Raises ConflictError."""
        if self._left <= 0:
            self._unread += 1
            return
        try:
            told = module.parse(data)
            self._left -= told.size
        except ValueError as e:
            self._left -= len(data) if data.startswith(b"\x7fELF") else module.LIMIT
            self._broken.append(f"{printable(name)} {printable(str(e))}")
            return
        of_it = told.info("vermagic").partition(" ")[0] == self._release
        if not of_it and told.build_id not in self._loaded:
            self._others.append(printable(name))
            return
        for symbol, export in told.exports.items():
            _note(self._exports, symbol, Known(_plain(export), "exports", name))
        for symbol, crc in (told.versions or {}).items():
            if crc:
                _note(self._versions, symbol, Known(Export(crc), "versions", name))

    def tables(self) -> tuple[Table, ...]:
        """Return what they export and what they expect, as far as there is any of it."""
        tables = (Table("exports", self._exports), Table("versions", self._versions))
        return tuple(table for table in tables if table.symbols)

    def left_out(self) -> list[str]:
        """Return the ends of sentences about modules that were not read."""
        said = []
        if names := self._others:
            are = "is" if len(names) == 1 else "are"
            said.append(f"{_some(names)} {are} of another kernel than {printable(self._release)}")
        if self._broken:
            more = f", and {len(self._broken) - 1} more are no good" if self._broken[1:] else ""
            said.append(f"{self._broken[0]}{more}")
        if self._unread:
            said.append(f"{self._unread} modules come behind {_ALL >> 30} GiB of others")
        return said


def _note(found: dict[str, Known], symbol: str, known: Known) -> None:
    """Add a symbol unless it has no name that a Module.symvers could hold."""
    other = found.setdefault(symbol, known)
    if other is known:
        if len(found) > _SYMBOLS or not _SYMBOL.fullmatch(symbol):
            del found[symbol]
    elif None not in (other.export.crc, known.export.crc) and other.export.crc != known.export.crc:
        raise ConflictError(symbol, other, known)


def _plain(export: Export) -> Export:
    """Return an export with nothing in it that a Module.symvers cannot hold."""
    fits = all(_WORD.fullmatch(text or "") for text in (export.namespace, export.module))
    return export if fits else Export(export.crc, None, export.gpl, None)


def _some(names: list[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if names[1:] else names[0]
