"""Read a guest's serial console: how far it has come, and its last words."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from droidheaders.ui import printable

STAGES = ("kernel banner", "init", "adbd", "adb device", "shell")
"""What a starting guest passes through; the first three are seen on its console."""

_MARKS = (
    "Linux version ",  # start_kernel() prints linux_banner before all else (init/main.c)
    "droidheaders: init",
    "droidheaders: adbd",
)
_LAST_WORDS = ("Kernel panic - not syncing", "droidheaders: failed: ")


def passed(text: str) -> int:
    """Return how many stages the console shows as passed: 0 to 3.

    A later mark implies the earlier ones. A line that is not complete counts too: the marks are.
    """
    return max((stage for stage, mark in enumerate(_MARKS, 1) if mark in text), default=0)


def last_words(text: str) -> str:
    """Return the line in which the kernel or init gave up, without what stands before it."""
    for line in text.splitlines():
        for mark in _LAST_WORDS:
            if mark in line:
                return printable(line[line.index(mark) :].strip())
    return ""


def read(path: Path) -> str:
    """Return a console file's text; empty when there is none yet."""
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def last_lines(text: str, count: int = 8) -> list[str]:
    """Return the last lines that say something, safe to print on a terminal."""
    lines = [printable(line.rstrip(), limit=160) for line in text.splitlines() if line.strip()]
    return lines[-count:]


def stream(path: Path, go_on: Callable[[], bool], poll: float = 0.1) -> Iterator[str]:
    """Yield a console's lines, safe for a terminal, and new ones for as long as `go_on` says.

    The last line comes without its end when there is no more to wait for.
    """
    rest = ""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with path.open("rb") as file:
        while True:
            more = go_on()  # before reading: what was written until now is not missed
            *lines, rest = (rest + decoder.decode(file.read())).split("\n")
            for line in lines:
                yield printable(line.rstrip("\r"), limit=4096)
            if not more:
                break
            time.sleep(poll)
    if rest:
        yield printable(rest, limit=4096)
