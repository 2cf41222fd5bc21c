"""What people see: stderr, colour, progress. stdout belongs to data and is not touched here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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

    def say(self, text: str, *, level: int = 0) -> None:
        """Print one line to stderr when `level` is within the verbosity."""
        if self.verbosity >= level:
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Print a warning line to stderr."""
        self.say(f"{self.paint('warning:', '33')} {text}")

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
        if not self.shows_progress():
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
