"""Tables of exported symbols for a bundle: out of images and modules, of this host or a device.

Above the rooms rather than in one: it asks devices, reads files, and keeps what it finds beside the
bundle.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders.build.symvers import Symvers, conflict, of_file
from droidheaders.build.symvers import of as symvers_of
from droidheaders.build.tables import ModuleTables, of_image
from droidheaders.cache import Bundle, Cache, collected
from droidheaders.errors import HeadersError, UsageError
from droidheaders.headers import wrapping
from droidheaders.headers.inflate import LIMIT
from droidheaders.headers.limits import ArchiveError
from droidheaders.headers.spool import spool
from droidheaders.kernel import binaries
from droidheaders.kernel.known import ConflictError, Table
from droidheaders.objects import module
from droidheaders.preflight.module_file.symbols import wanted
from droidheaders.recognising import copied, unwrapped
from droidheaders.ui import Bar, printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device, Root

_MODULE = re.compile(r".+\.ko(\.(gz|xz|lz4|zst))?")
_FILES = 16384


@dataclass(frozen=True)
class Collection:
    """What was found: tables, and a sentence's end for each thing that was not, or left out."""

    tables: tuple[Table, ...]
    said: tuple[str, ...]


def of_files(
    bundle: Bundle,
    images: Sequence[Path] = (),
    directories: Sequence[Path] = (),
    official: Sequence[Path] = (),
) -> Collection:
    """Return the tables in kernel images, in modules below directories, and in Module.symvers.

    Raises UsageError for a file that cannot be read, is no such thing, or is of another kernel than
    the bundle, DroidheadersError when two modules contradict each other.
    """
    tables = [*map(of_file, official), *(_of_image_file(image, bundle) for image in images)]
    said: list[str] = []
    for directory in directories:
        found = _of_directory(directory, bundle)
        if not found.tables:
            raise UsageError(
                f"no module of {bundle.kernel} below {printable(str(directory))}:"
                f" {'; '.join(found.said)}",
                "give the directory of its modules, such as lib/modules/RELEASE",
            )
        tables += found.tables
        said += found.said
    return Collection(tuple(tables), tuple(said))


def _of_image_file(file: Path, bundle: Bundle) -> Table:
    name = printable(str(file))
    with tempfile.TemporaryDirectory(prefix="droidheaders-") as workshop:
        try:
            opened = unwrapped(copied(file, Path(workshop)), Path(workshop))
            return of_image(opened, bundle.kernel, name)
        except (ArchiveError, ValueError) as e:
            hint = "give the boot.img, Image, bzImage or vmlinux of this very build"
            raise UsageError(f"{name} {e}", hint) from e


def _of_directory(directory: Path, bundle: Bundle) -> Collection:
    files = list(islice(_module_files(directory), _FILES))
    found = ModuleTables(bundle.kernel.release)
    with ui.bar(f"reading {printable(directory.name)}", len(files), unit=" modules") as bar:
        for file in files:
            with _contradicting(bundle):
                found.add(file.name, _content(file))
            bar.update(1)
    said = found.left_out() or ([] if files else ["there is none"])
    return Collection(found.tables(), tuple(said))


def _module_files(directory: Path) -> Iterator[Path]:
    """Yield the modules below a directory; what links lead to is not looked at."""

    def failed(error: OSError) -> None:
        raise _unreadable(Path(error.filename or directory), error) from error

    for place, inner, names in os.walk(directory, onerror=failed):
        inner.sort()
        for name in sorted(names):
            file = Path(place, name)
            if _MODULE.fullmatch(name) and file.is_file() and not file.is_symlink():
                yield file


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(module.LIMIT)
    except OSError as e:
        raise _unreadable(file, e) from e


def _unreadable(path: Path, error: OSError) -> UsageError:
    name = printable(str(path))
    return UsageError(
        f"cannot read {name}: {error.strerror or error}", f"ls -l {shlex.quote(name)}"
    )


@contextmanager
def _contradicting(bundle: Bundle) -> Iterator[None]:
    try:
        yield
    except ConflictError as e:
        raise conflict(bundle, e) from e


def keep(cache: Cache, bundle: Bundle, found: Collection) -> None:
    """Keep the tables beside the bundle; DroidheadersError when they contradict what is there."""
    with _contradicting(bundle):
        collected.add(cache, bundle, found.tables)


def know_image(cache: Cache, bundle: Bundle, image: Path) -> None:
    """Collect the table of the image that a kernel was booted from, unless one's is there.

    Raises what `of_files` and `keep` raise.
    """
    if "image" not in {table.kind for table in collected.tables(cache, bundle)}:
        keep(cache, bundle, of_files(bundle, images=[image]))


@dataclass(frozen=True)
class PulledTables:
    """What is known of a bundle's symbols after a pull, and what the device did not give."""

    symvers: Symvers
    said: tuple[str, ...]


def pull_tables(
    device: Device,
    cache: Cache,
    bundle: Bundle,
    *,
    modules: bool,
    image: bool,
    refresh: bool = False,
) -> PulledTables:
    """Collect the tables of a device's modules and boot image, unless they were collected before.

    `refresh` forgets what was, when others are there. Raises as `of_device` does, and
    DroidheadersError when a table contradicts another.
    """
    kinds = set() if refresh else {table.kind for table in collected.tables(cache, bundle)}
    modules = modules and not kinds & {"exports", "versions"}
    image = image and "image" not in kinds
    said: tuple[str, ...] = ()
    if modules or image:
        found = of_device(device, bundle, modules=modules, image=image)
        if refresh:
            collected.forget(cache, bundle)
        keep(cache, bundle, found)
        said = found.said
    return PulledTables(symvers_of(cache, bundle), said)


def of_device(
    device: Device, bundle: Bundle, *, modules: bool = True, image: bool = False
) -> Collection:
    """Return the tables in the modules and the boot image of a device that runs this kernel.

    As far as it lets us read them: as root where that is to be had. Raises HeadersError when
    nothing that was asked for is to be had, and what reading from a device raises.
    """
    from droidheaders.adb import NoRootError

    with device.privileged() as root:
        user: Device | Root = root
        try:
            root.shell(":")
        except NoRootError:
            user = device
        found = [_modules_of(user, device, bundle)] if modules else []
        found += [_image_of(user, device, bundle)] if image else []
    tables = tuple(table for one in found for table in one.tables)
    said = tuple(what for one in found for what in one.said)
    if not tables:
        raise HeadersError(
            f"{device.name} gave no symbol table of {bundle.kernel}: {'; '.join(said)}",
            "give them from a file: droidheaders symvers --image boot.img, or --modules DIR",
        )
    return Collection(tables, said)


def _modules_of(user: Device | Root, device: Device, bundle: Bundle) -> Collection:
    listed = binaries.modules(user)
    found = ModuleTables(bundle.kernel.release, binaries.loaded(user))
    denied = 0
    with ui.bar(f"{printable(device.serial)}: modules", listed.size) as bar:
        for file, data in binaries.contents(user, listed.files):
            if data is None:
                denied += 1
            else:
                with _contradicting(bundle):
                    found.add(file.path.rpartition("/")[2], data)
            bar.update(file.size)
    said = found.left_out()
    said += [f"{denied} of its modules may not be read"] if denied else []
    said += [f"{listed.left_out} of its modules were not asked for"] if listed.left_out else []
    if not listed.files and not listed.left_out:
        said.append("no module is to be seen")
    return Collection(found.tables(), tuple(said))


def _image_of(user: Device | Root, device: Device, bundle: Bundle) -> Collection:
    with tempfile.TemporaryDirectory(prefix="droidheaders-") as workshop:
        with binaries.boot_image(user) as (path, chunks):
            if not path or path == "denied":
                what = "may not be read" if path else "is not there"
                return Collection((), (f"its boot partition {what}",))
            with ui.bar(f"{printable(device.serial)}: boot image", None) as bar:
                try:
                    view = spool(_as_much(chunks, bar), Path(workshop), LIMIT)
                except ArchiveError as e:
                    return Collection((), (f"{path} {e}",))
        try:
            opened = wrapping.unwrap(view, Path(workshop))
            return Collection((of_image(opened, bundle.kernel, path),), ())
        except (ArchiveError, ValueError) as e:
            return Collection((), (f"{path} {e}",))


def _as_much(chunks: Iterator[bytes], bar: Bar) -> Iterator[bytes]:
    """Pass on as much of a boot image as its kernel needs; all of it when it is no boot image."""
    left: int | None = None
    begun = False
    for chunk in chunks:
        if not begun:
            begun, left = True, wrapping.kernel_end(chunk)
        bar.update(len(chunk))
        yield chunk if left is None else chunk[:left]
        if left is not None and (left := left - len(chunk)) <= 0:
            return


def missing_for(file: Path, known: Symvers, bundle: Bundle) -> dict[str, str]:
    """Return the symbols that a module asks for and that nobody tells enough of, each with why.

    A CRC is enough where the kernel has MODVERSIONS, or may have. Raises UsageError for a file that
    is no module.
    """
    try:
        told = module.read(file)
    except OSError as e:
        raise _unreadable(file, e) from e
    except ValueError as e:
        raise UsageError(f"{printable(str(file))} {e}", "give a module: FILE.ko") from e
    return known.lacking(wanted(told), crcs=has_modversions(bundle))


def has_modversions(bundle: Bundle) -> bool:
    """Tell whether a bundle's kernel compares CRCs; True where its configuration is not known."""
    config = bundle.config()
    return config is None or config.get("MODVERSIONS") == "y"
