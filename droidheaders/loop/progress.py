"""How far a run is: for a person a bar and a line for each case that runs, else what has ended."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack
from typing import Any

from droidheaders.loop import pretty
from droidheaders.loop.results import Case, Result
from droidheaders.ui import printable, ui

_TICK = 1.0  # seconds


class Progress:
    """Shows a run of `planned` cases, `jobs` at once, on stderr. A context manager."""

    def __init__(self, planned: int, jobs: int) -> None:
        self._planned, self._jobs = planned, jobs
        self._board: _Board | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Progress:
        """Begin to draw, where there is somebody to see it."""
        if ui.shows_progress():
            self._board = self._stack.enter_context(_Board(self._planned, self._jobs))
            self._stack.enter_context(ui.above(self._board.write))
        return self

    def __exit__(self, *_: object) -> None:
        """Take away what was drawn."""
        self._stack.close()

    def began(self, case: Case, attempt: int) -> None:
        """Give the case a line."""
        if self._board is not None:
            self._board.began(case, attempt)

    def ended(self, result: Result) -> None:
        """Take the case's line away, and say what came of it."""
        if self._board is not None:
            self._board.ended(result)
        word = ui.paint(pretty.told(result), pretty.colour(result.word))
        name, kernel = printable(result.case.name), result.kernel
        ui.say(f"{word}  {name}  {kernel}  {result.seconds:.1f} s")


class _Board:
    """A bar with a line below it for each of `jobs` cases, drawn anew each second."""

    def __init__(self, planned: int, jobs: int) -> None:
        self._planned, self._jobs = planned, jobs
        self._running: dict[Case, tuple[int, float]] = {}
        self._bad = 0
        self._lock = threading.Lock()
        self._over = threading.Event()

    def __enter__(self) -> _Board:
        from tqdm import tqdm

        def drawn(**options: Any) -> Any:
            return tqdm(file=sys.stderr, leave=False, dynamic_ncols=True, **options)

        self._tqdm = tqdm
        self._bar = drawn(total=self._planned, unit="case", position=0)
        self._lines = [
            drawn(bar_format="{desc}", position=number)
            for number in range(1, min(self._jobs, self._planned) + 1)
        ]
        self._ticking = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._ticking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._ticking.join()
        for one in [*reversed(self._lines), self._bar]:
            one.close()

    def write(self, line: str) -> None:
        """Print a line above all that is drawn."""
        self._tqdm.write(line, file=sys.stderr)

    def began(self, case: Case, attempt: int) -> None:
        with self._lock:
            self._running[case] = (attempt, time.monotonic())
        self._draw()

    def ended(self, result: Result) -> None:
        with self._lock:
            self._running.pop(result.case, None)
            self._bad += not result.good
            self._bar.set_description_str(f"{self._bad} not good" if self._bad else "", False)
            self._bar.update(1)
        self._draw()

    def _tick(self) -> None:
        while not self._over.wait(_TICK):
            self._draw()

    def _draw(self) -> None:
        with self._lock:
            texts = [
                running(case, attempt, time.monotonic() - begun)
                for case, (attempt, begun) in self._running.items()
            ]
            for line, text in zip(self._lines, texts + [""] * len(self._lines), strict=False):
                if line.desc != text:
                    line.set_description_str(text)


def running(case: Case, attempt: int, seconds: float) -> str:
    """Return the line of a case that runs."""
    again = ", once more" if attempt > 1 else ""
    return f"  {printable(case.name)}  {seconds:.0f} s{again}"
