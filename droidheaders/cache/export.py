"""One bundle as one file, for another host: a plain tar that `cache import` takes.

bundle.json, config, btf, manifest and archive.tar.xz, each as it is in the bundle. The headers are
not in it: the archive is what they are made of, and small.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from droidheaders.cache.bundle import SCHEMA, Bundle, parse_manifest
from droidheaders.cache.disk import disk_errors, sync_directory
from droidheaders.cache.verify import damage
from droidheaders.errors import HeadersError, UsageError
from droidheaders.headers.limits import MIB, ArchiveError, Limits
from droidheaders.headers.tar import FILE, members
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.ui import printable

ARCHIVE = "archive.tar.xz"
_FILES = ("bundle.json", "config", "btf", "manifest", ARCHIVE)  # the first tells that it is one
_NEEDED = {"bundle.json", "manifest", ARCHIVE}
_LIMITS = Limits(file=Limits.compressed, entries=len(_FILES), tar=512 * MIB)
_JSON = 8 * MIB  # with 19,000 links a real one has 2 MB
_STEP = MIB


def export(bundle: Bundle, file: Path) -> int:
    """Write `bundle` to the new file `file`: all of it or nothing; return its size in bytes.

    Raises UsageError when the file exists, HeadersError for a bundle that is damaged.
    """
    if file.exists() or file.is_symlink():
        raise UsageError(f"{printable(str(file))} exists", "-o ANOTHER")
    _refuse_damage(bundle)
    directory = file.absolute().parent
    staging = directory / f".{file.name[:200]}.{os.urandom(4).hex()}"
    with disk_errors(directory, "the directory", "-o"):
        try:
            with staging.open("xb") as out:
                size = _write(bundle, out)
                out.flush()
                os.fsync(out.fileno())
            _publish(staging, file)
        finally:
            staging.unlink(missing_ok=True)
        sync_directory(directory)
    return size


def export_to(bundle: Bundle, out: BinaryIO) -> int:
    """Write `bundle` to a stream, and return the size in bytes; raises as `export` does."""
    _refuse_damage(bundle)
    return _write(bundle, out)


def _publish(staging: Path, file: Path) -> None:
    try:
        os.link(staging, file)  # unlike a rename, it takes nothing's place
    except FileExistsError:
        raise UsageError(f"{printable(str(file))} exists", "-o ANOTHER") from None
    except OSError:  # a disk without links
        staging.rename(file)


def _refuse_damage(bundle: Bundle) -> None:
    wrong = damage(bundle.path)
    if not wrong and not (bundle.path / ARCHIVE).exists():  # a repair had to leave it out
        wrong = {ARCHIVE: "is gone"}
    for name, what in sorted(wrong.items())[:1]:
        raise HeadersError(
            f"the bundle {printable(bundle.name)} is damaged: {printable(name)} {what}",
            f"droidheaders cache verify {printable(bundle.name)} --repair, else pull it again",
        )


def _write(bundle: Bundle, out: BinaryIO) -> int:
    written = 0
    for name in _FILES:
        path = bundle.path / name
        if path.exists():
            for piece in _entry(name, path):
                written += len(piece)
                out.write(piece)
    out.write(bytes(2 * tarfile.BLOCKSIZE))
    return written + 2 * tarfile.BLOCKSIZE


def _entry(name: str, path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        info = tarfile.TarInfo(name)
        info.size = os.fstat(file.fileno()).st_size
        yield info.tobuf(tarfile.USTAR_FORMAT)
        while piece := file.read(_STEP):
            yield piece
    yield bytes(-info.size % tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Exported:
    """What an export says: the kernel, and its parts, checked against the export's manifest.

    Whether the archive is that kernel's headers is for the reader of archives to find out.
    `compiler` and `page_size` are "" and 0 when they are not told.
    """

    kernel: KernelIdentity
    archive: memoryview
    parts: dict[str, bytes]
    page_size: int


def read_export(view: memoryview) -> Exported:
    """Read an export, which may come from anybody; raises ArchiveError when it breaks a rule."""
    found: dict[str, memoryview] = {}
    # The whole view as one chunk: so what is in it is not copied.
    for member in members(iter([cast(bytes, view)]), _LIMITS):
        name = member.name.decode("utf-8", "replace")
        if name not in _FILES or member.kind != FILE:
            raise ArchiveError(f"has a {member.kind} named {printable(name)!r}, as no export has")
        if name in found:
            raise ArchiveError(f"has two files named {name!r}")
        found[name] = member.data
    if missing := _NEEDED - found.keys():
        raise ArchiveError(f"is an export without {min(missing)}")
    _check_digests(found)
    meta = _meta(found["bundle.json"])
    page_size = meta.get("page_size")
    return Exported(
        _kernel(meta.get("kernel")),
        found[ARCHIVE],
        {part: bytes(found[part]) for part in ("config", "btf") if part in found},
        page_size if type(page_size) is int and 0 < page_size <= MIB else 0,
    )


def _check_digests(found: dict[str, memoryview]) -> None:
    try:
        stated = parse_manifest(str(found["manifest"], "utf-8"))
    except ValueError as e:
        raise ArchiveError("is an export with a damaged manifest") from e
    for name in sorted(found.keys() - {"manifest"}):
        if stated.get(name) != hashlib.sha256(found[name]).hexdigest():
            raise ArchiveError(f"is a damaged export: {name} is not what its manifest says")


def _meta(data: memoryview) -> dict[str, Any]:
    meta: Any = None
    if len(data) <= _JSON:
        with suppress(ValueError, RecursionError):
            meta = json.loads(bytes(data))
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        raise ArchiveError("is an export whose bundle.json cannot be read by this version")
    return meta


_FIELDS = {
    "release": r"[^\s]{1,64}",
    "version": r".{0,64}",
    "machine": r"[A-Za-z0-9_]{1,64}",
    "build_id": r"([0-9a-f]{2}){8,64}|",
}


def _kernel(said: object) -> KernelIdentity:
    """Return the identity that an export states; ArchiveError unless it is one."""
    fields = said if isinstance(said, dict) else {}
    for name, pattern in _FIELDS.items():
        text = fields.get(name)
        if not (isinstance(text, str) and text.isprintable() and re.fullmatch(pattern, text)):
            raise ArchiveError(f"is an export whose bundle.json states no {name} of a kernel")
    return KernelIdentity(**{name: fields[name] for name in _FIELDS})
