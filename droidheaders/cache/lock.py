"""Wait for somebody else who does the same work; never more than a courtesy.

A lock that cannot be had (NFS without a lock daemon, a read-only cache) is done without.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from droidheaders.ui import printable, ui

_SILENT = 1.0  # seconds before a person is told what is waited for


@contextmanager
def held(path: Path, awaited: str, cancel: threading.Event | None = None) -> Iterator[None]:
    """Hold the lock at `path` during the block, waiting for `awaited` while somebody else does.

    `cancel`, set by another thread, ends the waiting; the block then runs without the lock. The
    kernel lets go of a lock when its holder dies.
    """
    fd = _taken(path, awaited, cancel or threading.Event())
    try:
        yield
    finally:
        if fd is not None:
            with suppress(OSError):
                path.unlink()
            os.close(fd)


def _taken(path: Path, awaited: str, cancel: threading.Event) -> int | None:
    """Return the lock at `path`, held, as a file descriptor; None where it cannot be had."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            return None
        try:
            ours = _wait(fd, awaited, cancel)
            # Whoever held it before us removed the file, and the next to come made another.
            if ours and os.fstat(fd).st_nlink:
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        if not ours:
            return None


def _wait(fd: int, awaited: str, cancel: threading.Event) -> bool:
    """Wait for the lock; return whether it is ours."""
    started, told = time.monotonic(), False
    while True:
        try:
            # Tried again and again rather than blocked in: nothing wakes a thread from flock(2).
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told and time.monotonic() - started > _SILENT:
                told = True
                ui.say(f"waiting for {printable(awaited)}: somebody else is at it")
            if cancel.wait(0.02):
                return False
        except OSError:
            return False
        else:
            return True
