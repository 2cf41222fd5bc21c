"""What ends a test that takes too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self


class Watchdog:
    """Calls `overrun` from another thread once the block has taken `seconds`, less all pauses."""

    def __init__(self, seconds: float, overrun: Callable[[], None]) -> None:
        self._left = seconds
        self._overrun = overrun

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the time of this block not count."""
        self._timer.cancel()
        self._left -= time.monotonic() - self._begun
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        self._begun = time.monotonic()
        self._timer = threading.Timer(max(0.0, self._left), self._overrun)
        self._timer.start()
