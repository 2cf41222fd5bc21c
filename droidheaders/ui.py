"""What people see: stderr, colour, progress. stdout belongs to data and is not touched here."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TextIO


class Bar(Protocol):
    """The part of tqdm that the rooms use."""

    def update(self, n: float) -> object:
        """Advance by `n` units."""


class _NoBar:
    def update(self, n: float) -> object:
        return None


@dataclass
class Ui:
    """How to talk to the person: set once by the command line, read everywhere.

    verbosity: -1 quiet (errors only), 0 normal, 1 verbose, 2 debug.
    color and progress: None means "decide by the terminal".
    """

    verbosity: int = 0
    color: bool | None = None
    progress: bool | None = None
    _thread: threading.local = field(default_factory=threading.local)
    _write: Callable[[str], None] | None = None

    def say(self, text: str, *, level: int = 0) -> None:
        """Print one line to stderr when `level` is within the verbosity."""
        self._print(text, level + bool(self._whose))

    def warn(self, text: str) -> None:
        """Print a warning line to stderr."""
        self._print(f"{self.paint('warning:', '33')} {text}", 0)

    def _print(self, text: str, level: int) -> None:
        if self.verbosity < level:
            return
        line = f"{self._whose}: {text}" if self._whose else text
        if self._write is not None:
            self._write(line)
        else:  # at once, as other threads print too
            print(f"{line}\n", end="", file=sys.stderr, flush=True)

    @property
    def _whose(self) -> str:
        return getattr(self._thread, "whose", "")

    @contextmanager
    def aside(self, whose: str) -> Iterator[None]:
        """Have this thread speak for one of several things that are done at once.

        Its lines name it and need one -v more, warnings need none, and it draws no bars.
        """
        self._thread.whose = printable(whose)
        try:
            yield
        finally:
            self._thread.whose = ""

    @contextmanager
    def above(self, write: Callable[[str], None]) -> Iterator[None]:
        """Hand every line to `write` while something is drawn that it has to stay clear of."""
        self._write = write
        try:
            yield
        finally:
            self._write = None

    def paint(self, text: str, sgr: str, file: TextIO | None = None) -> str:
        """Colour `text` when `file` takes it: stderr, unless it is to go elsewhere."""
        return f"\x1b[{sgr}m{text}\x1b[0m" if self.takes_color(file) else text

    def takes_color(self, file: TextIO | None = None) -> bool:
        """Tell whether `file`, or else stderr, is to have colour: by --color, NO_COLOR and TERM."""
        if self.color is not None:
            return self.color
        return (
            (file or sys.stderr).isatty()
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM") != "dumb"
        )

    def shows_progress(self) -> bool:
        """Tell whether progress bars are wanted: asked for, else when stderr is a terminal."""
        if self.progress is not None:
            return self.progress
        return self.verbosity >= 0 and sys.stderr.isatty()

    @contextmanager
    def bar(self, what: str, total: int | None, unit: str = "B") -> Iterator[Bar]:
        """Show a tqdm bar on stderr while the block runs; nothing is drawn without a terminal."""
        if not self.shows_progress() or self._whose:
            yield _NoBar()
            return
        from tqdm import tqdm  # costs 50 ms, so only when a bar is drawn

        with tqdm(
            total=total,
            desc=what,
            unit=unit,
            unit_scale=unit == "B",
            unit_divisor=1024,
            file=sys.stderr,
            leave=False,
            dynamic_ncols=True,
        ) as bar:
            yield bar


ui = Ui()


def printable(text: str, limit: int = 200) -> str:
    """Make text from a device safe for a terminal: escaped, and bounded in length."""
    out = text[:limit]
    if not out.isprintable():  # a hundred times as fast as to look at each
        out = "".join(
            c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
            for c in out
        )
    return out if len(text) <= limit and len(out) <= limit else out[: limit - 1] + "…"
