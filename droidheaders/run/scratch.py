"""A directory on the device for what a run needs there, gone afterwards whatever happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders import journal
from droidheaders.adb.shell import last_line
from droidheaders.change import FILE, TMP, Change, scratch_path
from droidheaders.errors import DroidheadersError
from droidheaders.run.recovery import undo

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.adb.root import Root
    from droidheaders.journal import Entry

_NAME = re.compile(r"[\w+-][\w.+-]{0,63}", re.ASCII)


def file_name(path: Path, otherwise: str) -> str:
    """Return what a file of the host's is called in a scratch directory: as here if it is plain."""
    return path.name if _NAME.fullmatch(path.name) else otherwise


@contextmanager
def scratch(
    device: Device, *, parent: str = TMP, user: Device | Root | None = None
) -> Iterator[str]:
    """Give the path of a new directory on `device`, mode 0700, for files to be pushed into.

    It is made in `parent`, a path that needs no quotes, by `user`, else by the shell's user.
    Removed on leaving as `reserved` says. Raises DroidheadersError when it cannot be made.
    """
    with reserved(device, parent) as path:
        made = (user or device).shell(making(path))
        if made.status:
            raise not_made(device, path, made.stderr)
        yield path


@contextmanager
def reserved(device: Device, parent: str = TMP) -> Iterator[str]:
    """Give the path of a directory that is not there yet, for the caller to make by `making`.

    Removed on leaving, also by the shell's user what root put there; when the device is lost or we
    are killed, by the next run on it.
    """
    with reservation(device, parent) as entry:
        yield entry.change.what


@contextmanager
def reservation(device: Device, parent: str = TMP) -> Iterator[Entry]:
    """As `reserved`, but give the journal's entry, whose change is of that path.

    Who has the device remove the directory strikes that out, and nothing is done on leaving.
    """
    change = Change(device.serial, FILE, scratch_path(parent))
    with journal.turn(device.serial, FILE):
        entry = journal.write(change)
    try:
        yield entry
    except BaseException:
        with suppress(DroidheadersError):  # what went wrong first is what is told
            _leave(device, entry)
        raise
    _leave(device, entry)


def making(path: str) -> str:
    """Return the command that makes such a directory, for a script of more."""
    return f"mkdir -m 700 {path}"


def not_made(device: Device, path: str, stderr: bytes) -> DroidheadersError:
    """Return the error that it could not be made."""
    return DroidheadersError(
        f"{device.name} has no place for files: {last_line(stderr)}",
        f"{device.adb} shell ls -ld {path.rpartition('/')[0] or '/'}",
    )


def _leave(device: Device, entry: Entry) -> None:
    with entry.leaving() as wanted:
        if wanted:
            undo(device, entry.change)
