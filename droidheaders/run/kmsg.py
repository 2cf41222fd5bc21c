"""The kernel's log as /dev/kmsg gives it: Documentation/ABI/testing/dev-kmsg."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from droidheaders.ui import printable

# Priority and facility, sequence number, microseconds, flags, and what newer kernels may add; then
# the text, in which all that is not plain ASCII is \xNN. Lines of a dictionary begin with a blank.
_RECORD = re.compile(rb"(\d{1,10}),(\d{1,20}),(\d{1,20}),([^,;]{0,8})(?:,[^;]{0,256})?;(.*)", re.S)
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")
_LONGEST = 64 << 10  # bytes; the kernel's own records have 8 KiB at most
_SHOWN = 1024  # characters of a line


@dataclass(frozen=True)
class Line:
    """One line, safe for a terminal; `level` is syslog's 0 to 7, `seconds` since boot."""

    level: int
    seconds: float
    text: str

    def __str__(self) -> str:
        return f"[{self.seconds:12.6f}] {self.text}"


class Kmsg:
    """Takes the byte stream of records apart, at whatever boundaries it comes.

    `lost` counts the records that the kernel overwrote before they were read.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._rest = b""
        self._next: int | None = None

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines of the records that `data` completes; what is no record is dropped.

        A fragment (pr_cont) that comes with what it continues is part of its line.
        """
        *records, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[:_LONGEST]
        lines: list[Line] = []
        for record in records:
            found = _RECORD.fullmatch(record)
            if found is None:
                continue
            self._count(int(found[2]))
            level, seconds = int(found[1]) & 7, int(found[3]) / 1e6
            first, *more = _text(found[5]).split("\n")
            if b"+" in found[4] and lines:
                joined = lines[-1].text + printable(first, _SHOWN)
                lines[-1] = replace(lines[-1], text=joined[: 4 * _SHOWN])
            else:
                more.insert(0, first)
            lines += [Line(level, seconds, printable(text, _SHOWN)) for text in more]
        return lines

    def _count(self, number: int) -> None:
        if self._next is not None and number > self._next:
            self.lost += number - self._next
        self._next = number + 1


def _text(escaped: bytes) -> str:
    plain = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), escaped)
    return plain.decode("utf-8", "replace").expandtabs()
