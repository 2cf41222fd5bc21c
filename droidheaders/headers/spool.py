"""A private copy of a file, mapped into memory, so that what is read twice is the same twice.

Mapped rather than read: a kernel image may have 256 MiB. A copy rather than the file itself: a file
that somebody truncates while it is mapped kills the process (SIGBUS), and a file that changes while
it is looked at is a hole.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from droidheaders.headers.limits import MIB, ArchiveError
from droidheaders.ui import Bar

_PIECE = 256 * 1024


def spool(chunks: Iterable[bytes], directory: Path, limit: int = 512 * MIB) -> memoryview:
    """Return a copy of all chunks, kept on the disk of `directory` as long as it is looked at.

    Raises ArchiveError when it would be empty or larger than `limit` bytes, OSError from the disk,
    and what the chunks raise. The copy has no name, so nothing is left behind.
    """
    path = directory / f"spool-{os.urandom(4).hex()}"
    with path.open("xb+") as file:
        path.unlink()
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise ArchiveError(f"is larger than {limit // MIB} MiB")
            file.write(chunk)
        if not size:
            raise ArchiveError("is empty")
        file.flush()
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def pieces(view: memoryview, bar: Bar | None = None) -> Iterator[bytes]:
    """Yield the bytes of `view` in order, and tell `bar` how many have been taken."""
    for at in range(0, len(view), _PIECE):
        piece = bytes(view[at : at + _PIECE])
        yield piece
        if bar is not None:
            bar.update(len(piece))
