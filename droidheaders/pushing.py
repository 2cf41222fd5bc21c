"""Headers on a device, for BCC and bpftrace there: which, where, and which are there already.

Above the rooms rather than in one: it asks the device, and looks into the cache.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders.cache import Bundle, Cache
from droidheaders.cache.disk import write_atomically
from droidheaders.change import TMP
from droidheaders.choosing import of_kernel
from droidheaders.errors import DroidheadersError
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.pulling import look
from droidheaders.run import deposit
from droidheaders.run.deposit import Spot
from droidheaders.run.parcel import Parcel
from droidheaders.run.recovery import recover
from droidheaders.state import own_directory, state_dir
from droidheaders.ui import ui

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.adb.root import Root

_RELEASE = re.compile(r"[\w.+~-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Pushed:
    """Where headers are on a device now, and whether they were there before.

    `found` says that BCC looks there by itself; else BCC_KERNEL_SOURCE must name the directory.
    """

    bundle: Bundle
    path: str
    cached: bool
    found: bool


def push_headers(
    device: Device, cache: Cache, *, to: str | None = None, bundle: str | None = None
) -> Pushed:
    """Put headers of the kernel that `device` runs to a directory there, and return which.

    They are those in the cache, or the `bundle` that is named, whatever kernel that is of. Without
    `to` the directory is /lib/modules/RELEASE/build where /lib/modules/RELEASE is there and may be
    written to, else one in /data/local/tmp. Headers that are there already are read and compared,
    and nothing is sent. Raises HeadersError when the cache lacks them, UsageError for a path that
    cannot be, NoRootError when only root may write there, DroidheadersError when the directory is
    not ours, or there is no room; nothing is left behind in any of these cases.
    """
    path = deposit.check_path(to) if to is not None else None
    kernel = look(device).kernel
    chosen = _chosen(device, cache, kernel, bundle)
    parcel = Parcel.of(chosen)
    build = _build(kernel)
    with _place(device, path, build, chosen) as (user, spot):
        cached = spot.mark == parcel.mark and deposit.is_whole(
            device, user, spot.path, parcel.mark, parcel.files
        )
        _remember(device.serial, spot.path)
        if not cached:
            deposit.put(device, user, spot, parcel)
    return Pushed(chosen, spot.path, cached, found=spot.path == build)


def remove_headers(device: Device, *, to: str | None = None) -> list[str]:
    """Remove what `push_headers` put to `device`, and return the directories.

    Without `to` all that are known: those that this host put there, and any where it puts them by
    itself. What an earlier run left is finished first. Raises DroidheadersError when something else
    is in one of them, NoRootError when only root may remove it.
    """
    asked = [deposit.check_path(to)] if to is not None else None
    recover(device)
    paths = asked or _known(device)
    removed = []
    for path in paths:
        with _writing(device, path) as (user, spot):
            if spot.state == "ours" and spot.mark is not None:
                deposit.take(device, user, path)
                removed.append(path)
            elif to is not None and spot.state != "absent":
                raise _not_ours(device, path)
        _forget(device.serial, path)
    return removed


def _chosen(device: Device, cache: Cache, kernel: KernelIdentity, name: str | None) -> Bundle:
    if name is None:
        return of_kernel(cache, device, kernel)
    bundle = cache.find(name)
    there = bundle.kernel
    if there.machine != kernel.machine or there.release != kernel.release:
        ui.warn(f"{device.name} runs {kernel}, and these headers are of {there}")
    elif not kernel.build_id or there.build_id != kernel.build_id:
        ui.warn(
            f"{device.name} runs {kernel}, and nothing tells that these headers are of the same"
            " build of it"
        )
    return bundle


def _build(kernel: KernelIdentity) -> str | None:
    """Return where BCC looks by itself (its src/cc/frontends/clang/kbuild_helper.cc)."""
    plain = _RELEASE.fullmatch(kernel.release)
    return f"/lib/modules/{kernel.release}/build" if plain else None


@contextmanager
def _place(
    device: Device, to: str | None, build: str | None, bundle: Bundle
) -> Iterator[tuple[Device | Root, Spot]]:
    """Give who writes, and to where; a directory that is not there or is ours."""
    if to is None and build is not None and deposit.look(device, build).parent != "none":
        with suppress(DroidheadersError), _writing(device, build) as (user, spot):
            if spot.parent == "writable" and spot.state != "foreign":
                to = build
    with _writing(device, to or f"{TMP}/headers-{bundle.name}") as (user, spot):
        if spot.parent != "writable":
            why = "is not there" if spot.parent == "none" else "cannot be written to, even by root"
            raise DroidheadersError(
                f"{device.name}: {spot.path.rpartition('/')[0] or '/'} {why}",
                "droidheaders push headers, without --to",
            )
        if spot.state == "foreign" or (spot.state == "ours" and spot.mark is None):
            raise _not_ours(device, spot.path)
        yield user, spot


@contextmanager
def _writing(device: Device, path: str) -> Iterator[tuple[Device | Root, Spot]]:
    """Give the shell where it may write to the directory's parent, else root, and what he sees.

    What the shell does not see, root may; but everybody sees all of /lib/modules.
    """
    spot = deposit.look(device, path)
    none = spot.parent == "none" and path.startswith("/lib/modules/")
    if spot.parent == "writable" or none:
        yield device, spot
        return
    with device.privileged() as root:
        yield root, deposit.look(root, path)


def _not_ours(device: Device, path: str) -> DroidheadersError:
    return DroidheadersError(
        f"{device.name}: {path} is there and was not put there by droidheaders",
        f"choose a directory that is not there, or {device.adb} shell ls -ld {path}",
    )


def _known(device: Device) -> list[str]:
    """Return the directories on the device that may have headers of ours."""
    release = device.shell("uname -r").stdout.decode("utf-8", "replace").strip()
    listed = device.shell(f"ls -d {TMP}/headers-*").stdout.decode("utf-8", "replace")
    found = [f"/lib/modules/{release}/build", *listed.splitlines(), *_noted(device.serial)]
    plain = []
    for path in found:
        with suppress(DroidheadersError):  # a name of somebody else's
            plain.append(deposit.check_path(path))
    return list(dict.fromkeys(plain))


def _note(serial: str) -> Path:
    name = hashlib.sha256(serial.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return state_dir("pushed", lasting=True) / f"{name}.json"


def _noted(serial: str) -> list[str]:
    """Return the directories that this host put headers to; what is no such note is none."""
    try:
        paths = json.loads(_note(serial).read_bytes())
    except (OSError, ValueError):
        return []
    return [path for path in paths if isinstance(path, str)] if isinstance(paths, list) else []


def _remember(serial: str, path: str) -> None:
    """Note that headers are put there, before they are; raises DroidheadersError if it cannot."""
    paths = list(dict.fromkeys([*_noted(serial), path]))
    _write(serial, paths)


def _forget(serial: str, path: str) -> None:
    paths = _noted(serial)
    if path in paths:
        _write(serial, [one for one in paths if one != path])


def _write(serial: str, paths: list[str]) -> None:
    note = _note(serial)
    try:
        own_directory(note.parent, "where headers were pushed is")
        if paths:
            write_atomically(note, json.dumps(paths).encode())
        else:
            note.unlink(missing_ok=True)
    except OSError as e:
        raise DroidheadersError(
            f"where headers are pushed to is noted in {note.parent}, which cannot be written:"
            f" {e.strerror}",
            "set DROIDHEADERS_STATE to a directory you may write to",
        ) from e
