"""Files of an attempt, which stay bounded however much is written to them."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

LARGEST = 16 << 20
"""Bytes that are kept of what is written to one."""


class Kept:
    """A new file at `path`: its first 16 MiB, and at its end how much more there was.

    A context manager. One thread writes.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        with self._file:
            if (more := self._size - LARGEST) > 0:
                self._file.write(b"\n(cut off here: %d bytes more)\n" % more)

    def write(self, data: bytes) -> None:
        """Add `data`, as far as there is room, where others see it at once; raises OSError."""
        room = max(0, LARGEST - self._size)
        self._size += len(data)
        if room:
            self._file.write(data[:room])
            self._file.flush()

    def line(self, text: str) -> None:
        """Add a line."""
        self.write(text.encode("utf-8", "backslashreplace") + b"\n")
