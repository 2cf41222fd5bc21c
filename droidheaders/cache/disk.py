"""Make what was written last, and say in one sentence when the disk will not."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from droidheaders.errors import DroidheadersError


@contextmanager
def disk_errors(
    directory: Path, what: str = "the cache at", option: str = "--cache-dir"
) -> Iterator[None]:
    """Turn an OSError of the block into an error that names the directory and the way out."""
    try:
        yield
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"the disk of {what} {directory} is full ({_free(directory)} MiB free)"
            raise DroidheadersError(message, f"free 60 MiB, or use {option} DIR") from e
        raise DroidheadersError(
            f"cannot write to {what} {directory}: {e.strerror or e}",
            f"choose a directory you may write to: {option} DIR",
        ) from e


def _free(root: Path) -> int:
    try:
        stat = os.statvfs(root)
    except OSError:
        return 0
    return stat.f_bavail * stat.f_frsize >> 20


def sync_tree(directory: Path) -> None:
    """Bring everything written to the directory's file system to the disk.

    One syncfs(2) costs 0.09 s where an fsync of every file of a kernel's headers costs 3 s.
    """
    import ctypes  # 10 ms, and only what writes needs it

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):  # only Linux has it
        os.sync()
        return
    fd = os.open(directory, os.O_RDONLY)
    try:
        if libc.syncfs(fd) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(directory))
    finally:
        os.close(fd)


def sync_directory(directory: Path) -> None:
    """Bring the directory's own entries to the disk, after a rename into it."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by a file with `data`: readers see the old content or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_tree(path: Path) -> None:
    """Remove what is at `path`, be it a directory or not; what a link leads to stays.

    Nothing is raised where the disk will not have it.
    """
    from shutil import rmtree

    with suppress(OSError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
        rmtree(path, ignore_errors=True)
        if path.exists():  # a directory in it was made unreadable
            _unlock(path)
            rmtree(path, ignore_errors=True)


def _unlock(path: Path) -> None:
    path.chmod(0o700)
    for directory, inner, _ in os.walk(path):  # from the top, so that each is open when its turn is
        for name in inner:
            if not Path(directory, name).is_symlink():
                Path(directory, name).chmod(0o700)
