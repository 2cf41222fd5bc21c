"""An import: headers from a file or a kernel tree on this host, into the cache.

Above the rooms rather than in one, as transfer.py is. What is imported is trusted no more than what
a device sends, and goes the same way; only who says which kernel it is of differs.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from droidheaders import intake
from droidheaders.build.symvers import of_file
from droidheaders.cache import Bundle, Cache, collected
from droidheaders.cache.bundle import bundle_name
from droidheaders.cache.verify import damage
from droidheaders.errors import UsageError
from droidheaders.headers import verify
from droidheaders.headers.limits import ArchiveError, Limits
from droidheaders.headers.spool import pieces
from droidheaders.headers.tar import members
from droidheaders.headers.unpack import unpack
from droidheaders.headers.xz import XzStream
from droidheaders.kernel import btf
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.kernel.known import ConflictError, Known, Table
from droidheaders.objects import ksymtab
from droidheaders.pulling import Pulled
from droidheaders.recognising import TREE, Found, recognise
from droidheaders.ui import printable, ui


@dataclass(frozen=True)
class Imported(Pulled):
    """What an import gave. `kind` is what `file` was recognised as.

    One of archive, module, boot image, kernel image, kernel tree, export.
    """

    file: Path
    kind: str


def import_file(file: Path, cache: Cache, *, source: Path | None = None) -> Imported:
    """Bring the headers that `file` holds into `cache`, and return their bundle.

    `file` is told by its content: a .tar.xz, a kheaders.ko, a boot image, a kernel image, an
    export, or the directory of a built kernel tree, whose source is in `source` if the tree does
    not lead there. Raises UsageError when there is no such file, HeadersError when there are no
    headers in it or they are not whole; nothing is left behind then.
    """
    started = monotonic()
    file = Path(file).absolute()
    with _about(file), cache.stage() as workshop:
        found = recognise(file, source, workshop.path)
        with cache.transferring(found.kernel):
            bundle, cached = _bring(cache, found, file)
        _collect(cache, bundle, found, file)
    return Imported(bundle, cached, monotonic() - started, file, found.kind)


def _collect(cache: Cache, bundle: Bundle, found: Found, file: Path) -> None:
    """Keep the table of symbols that came with the headers, in an image or a kernel tree."""
    name = printable(str(file), 4096)
    symvers = file / "Module.symvers"
    tables: list[Table] = []
    try:
        if found.image is not None:
            with suppress(ValueError):  # a kernel without modules has none
                exports = ksymtab.read(found.image)
                symbols = {symbol: Known(e, "image", name) for symbol, e in exports.items()}
                tables = [Table("image", symbols, whole=True)]
        elif found.kind == TREE and symvers.is_file():
            tables = [of_file(symvers)]
        collected.add(cache, bundle, tables)
    except (ConflictError, UsageError) as e:
        again = f"droidheaders symvers --forget --bundle {shlex.quote(bundle.name)}"
        ui.warn(f"{name}: no symbol table is taken from it: {e}; {again} drops what was kept")


@contextmanager
def _about(file: Path) -> Iterator[None]:
    """Name the file in whatever is wrong with it."""
    try:
        yield
    except ArchiveError as e:
        again = f"droidheaders cache import {shlex.quote(printable(str(file)))}"
        raise e.of(
            printable(str(file)), f"copy it anew from where it was made, then {again}"
        ) from e


def _bring(cache: Cache, found: Found, file: Path) -> tuple[Bundle, bool]:
    """Make the bundle, or find the one that has this archive; say whether it was found.

    A bundle that was pulled stays as it is. One that was imported is made again when the same
    headers come with more: a configuration, a build-id.
    """
    name = bundle_name(found.kernel, found.sha256)
    parts, warnings = _sound(found.parts)
    found = replace(found, kernel=_findable(cache, found.kernel, name), parts=parts)
    old = Bundle.load(cache.kernels / name)
    if old is None or old.meta.get("archive", {}).get("sha256") != found.sha256:
        return _take(cache, found, file, warnings), False
    wrong = damage(old.path)
    if wrong.keys() & {"bundle.json", "manifest"}:
        return _take(cache, found, file, warnings, again=True), False
    more = parts.keys() - old.parts or (found.kernel.build_id and not old.kernel.build_id)
    if not wrong and not ("imported" in old.meta and more):
        cache.index.note(found.kernel, old.name)
        return old, True
    kept = {
        part: (old.path / part).read_bytes()
        for part in ("config", "btf")
        if part in old.parts and part not in wrong
    }
    kernel = found.kernel if found.kernel.build_id else old.kernel
    found = replace(found, kernel=kernel, parts=kept | parts)
    return _take(cache, found, file, warnings, again=True), False


def _findable(cache: Cache, kernel: KernelIdentity, name: str) -> KernelIdentity:
    """Return the identity to note for the bundle of that name.

    A file says itself which kernel it is of. Where a device has given other headers for that
    kernel, a pull goes on finding those: the build-id, by which it would find these, is left out.
    """
    known = cache.index.find(kernel)
    other = Bundle.load(cache.kernels / known) if known and known != name else None
    if other is None or "imported" in other.meta:
        return kernel
    ui.warn(f"{kernel} was pulled before, with other headers: pull goes on finding {other.name}")
    return replace(kernel, build_id="")


def _take(
    cache: Cache, found: Found, file: Path, warnings: list[str], *, again: bool = False
) -> Bundle:
    kernel = found.kernel
    limits = Limits()
    name = printable(file.name)
    with cache.stage() as staging:
        staging.headers.mkdir()
        share = cache.neighbours(kernel).share
        size = len(found.archive)
        with staging.archive.open("xb") as copy, ui.bar(f"importing {name}", size) as bar:
            chunks = pieces(found.archive, bar)
            xz = XzStream(chunks, expected=size, copy=copy, limits=limits)
            unpacked = unpack(members(iter(xz), limits), staging.headers, limits, share)
        verify.verify(staging.headers, unpacked, kernel)
        for part, data in found.parts.items():
            (staging.path / part).write_bytes(data)
        return intake.commit(
            cache,
            staging,
            kernel,
            unpacked,
            source=name,
            archive={
                "sha256": xz.sha256,
                "size": xz.size,
                "path": printable(str(file), 4096),
                "as": "import",
                "module_loaded": False,
            },
            sources=dict.fromkeys(("headers", "config", "btf"), printable(str(file), 4096)),
            banner=found.banner,
            warnings=warnings,
            replace=again,
            page_size=found.page_size,
            kheaders_build_id="",
            imported=found.kind,
        )


def _sound(parts: dict[str, bytes]) -> tuple[dict[str, bytes], list[str]]:
    """Return the configuration and BTF that are some, and a warning for what is not."""
    sound, warnings = {}, []
    for part, data in parts.items():
        try:
            if part == "config":
                Kconfig.parse(data)
            else:
                btf.check(data)
        except ValueError as e:
            warnings.append(f"its {part} {e}, and is left out")
        else:
            sound[part] = data
    return sound, warnings
