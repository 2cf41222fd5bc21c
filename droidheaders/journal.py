"""The journal: what is changed on a device, written here first and struck out once it is undone.

Above the rooms rather than in one, because root (`adb/`) and the archive's module (`headers/`) both
write to it, and a room imports only from rooms above. It knows nothing of how a change is undone.

An entry's owner holds a flock(2) on it, which the kernel drops whichever way the owner ends, so
that nothing has to be concluded from a pid. docs/journal.md has the format and the rules.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from droidheaders.change import Change
from droidheaders.errors import DroidheadersError
from droidheaders.state import own_directory, state_dir
from droidheaders.ui import printable, ui

_LARGEST = 4096


class Entry:
    """A change that is written down, and locked by us: we made it, or its owner is dead."""

    def __init__(self, change: Change, path: Path, fd: int, *, joined: bool = False) -> None:
        self.change = change
        self.joined = joined
        self._path = path
        self._fd: int | None = fd

    def remove(self) -> None:
        """Strike it out: the change is undone, or was never made."""
        if self._fd is None:
            return
        try:
            _unlink(self._path)
        except OSError as e:
            ui.warn(f"{self._path} cannot be removed, though it is settled: {e.strerror}")
        finally:
            self.release()

    def release(self) -> None:
        """Leave what is not struck out to the next run on the device."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @contextmanager
    def leaving(self) -> Iterator[bool]:
        """Give whether to undo the change in the block; strike the entry out unless that raises.

        It is not to be undone when the entry was struck out already, or while another living
        process has made the same change, or joined it: the last one to leave undoes it.
        """
        if self._fd is None:
            yield False
            return
        try:
            with turn(self.change.serial, self.change.kind):
                yield not any(_is_held(other) for other in _same(self.change, self._path))
                self.remove()
        finally:
            self.release()


@contextmanager
def turn(serial: str, kind: str) -> Iterator[None]:
    """Keep other processes from making or undoing changes of this kind on the device meanwhile.

    Where there can be no lock (a full disk, a directory gone) the block runs without: a change must
    be undone all the same, and none can be made that is not written down.
    """
    path, fd = _directory() / f"{_escaped(serial)}@{kind}.lock", -1
    with suppress(OSError):
        fd = _take_turn(path)
    try:
        yield
    finally:
        if fd >= 0:
            with suppress(OSError):  # the lock goes with us anyway
                path.unlink()
            os.close(fd)


def is_under_way(serial: str, kind: str) -> bool:
    """Tell whether a living process has made a change of this kind, and not undone it yet."""
    changes = ((path, _change(path, serial)) for path in _paths(serial))
    return any(change and change.kind == kind and _is_held(path) for path, change in changes)


def write(change: Change) -> Entry:
    """Write down a change that is about to be made; within its `turn`.

    `joined` is set on what it returns when others have written the same before. Raises
    DroidheadersError when it cannot be written: then the change must not be made.
    """
    place = _directory()
    try:
        own_directory(place, "changes to devices are")
        joined = bool(_same(change))
        path, fd = _create(place, change)
    except OSError as e:
        raise DroidheadersError(
            f"device {printable(change.serial)} was left as it is: what is changed there must first"
            f" be written to {place}, and cannot be: {e.strerror}",
            "set DROIDHEADERS_STATE to a directory you may write to",
        ) from e
    return Entry(change, path, fd, joined=joined)


def join(serial: str, kind: str) -> Entry | None:
    """Write down that a change without a `what`, made by another process, is used by us too.

    Returns None when nobody has written such a change; whoever made it is not of our kind then.
    """
    if not _paths(serial):
        return None
    with turn(serial, kind):
        for path in _paths(serial):
            change = _change(path, serial)
            if change and change.kind == kind:
                return write(change)
    return None


def stale(serial: str) -> list[Entry]:
    """Return the device's entries whose owners are dead, locked; warn of files that are no entries.

    One listing of a directory when there are none.
    """
    found = []
    for path in _paths(serial):
        try:
            fd = _open(path)
            if fd is None:
                continue
            with _closed_if_it_fails(fd):
                found.append(Entry(_parse(fd, serial), path, fd))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as e:
            reason = e.strerror if isinstance(e, OSError) else printable(str(e))
            ui.warn(
                f"{path} is no entry of the journal that can be followed ({reason}): what it may"
                f" say of device {printable(serial)} was not undone; look at it, then remove it"
            )
    return found


def _directory() -> Path:
    # Lasting: a phone is still as we left it when this host comes back from a reboot.
    return state_dir("journal", lasting=True)


def _escaped(serial: str) -> str:
    return "".join(
        c
        if c.isascii() and (c.isalnum() or c in "_.-")
        else "".join(f"%{byte:02X}" for byte in c.encode("utf-8", "surrogateescape"))
        for c in serial
    )


def _paths(serial: str) -> list[Path]:
    """Return the files that look like entries of the device."""
    place, start = _directory(), f"{_escaped(serial)}@"
    try:
        names = os.listdir(place)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as e:
        ui.warn(
            f"the journal in {place} cannot be read ({e.strerror}), so nothing is undone that an"
            " earlier run may have left; set DROIDHEADERS_STATE to a directory of yours"
        )
        return []
    return sorted(place / n for n in names if n.startswith(start) and n.endswith(".json"))


def _same(change: Change, but: Path | None = None) -> list[Path]:
    """Return the entries of the same change of the same device, other than the one at `but`."""
    paths = [path for path in _paths(change.serial) if path != but]
    return [path for path in paths if _change(path, change.serial) == change]


def _change(path: Path, serial: str) -> Change | None:
    """Return what the entry says, whoever holds it; None when it says nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return _parse(fd, serial)
    except (OSError, ValueError):
        return None
    finally:
        os.close(fd)


def _is_held(path: Path) -> bool:
    """Tell whether somebody living holds the entry."""
    try:
        fd = _open(path)
    except OSError:
        return False
    if fd is None:
        return True
    os.close(fd)
    return False


def _create(place: Path, change: Change) -> tuple[Path, int]:
    """Return a new entry, locked before it can be seen, and on the disk; raises OSError."""
    start = f"{_escaped(change.serial)}@"
    new = place / f"{start}{change.kind}.new"  # nobody else's: it is our turn
    path = place / f"{start}{os.urandom(4).hex()}.json"
    fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with _closed_if_it_fails(fd):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with open(fd, "w", encoding="ascii", closefd=False) as file:
            file.write(change.to_json())
        os.fsync(fd)
        try:
            new.rename(path)
            directory = os.open(place, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except BaseException:
            _unlink(path)  # nothing is changed without us
            raise
    return path, fd


def _unlink(path: Path) -> None:
    """Remove the file, also when a signal comes meanwhile that ends us."""
    try:
        path.unlink(missing_ok=True)
    except (KeyboardInterrupt, SystemExit):
        path.unlink(missing_ok=True)
        raise


def _open(path: Path) -> int | None:
    """Return the file opened and locked, or None while somebody holds it; FileNotFoundError."""
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)  # a FIFO must not hang us
    with suppress(BlockingIOError), _closed_if_it_fails(fd):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(fd).st_nlink:  # struck out before we had the lock
            raise FileNotFoundError
        return fd
    return None


def _parse(fd: int, serial: str) -> Change:
    """Return what the file says; ValueError when that is not what we write."""
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode) or info.st_uid != os.getuid():
        raise ValueError("not a file of yours")
    if info.st_size > _LARGEST:
        raise ValueError(f"{info.st_size} bytes")
    return Change.from_json(os.pread(fd, _LARGEST, 0), serial)


def _take_turn(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with _closed_if_it_fails(fd):
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:  # else the one before us removed it with its turn
                return fd
        os.close(fd)


@contextmanager
def _closed_if_it_fails(fd: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(fd)
        raise
