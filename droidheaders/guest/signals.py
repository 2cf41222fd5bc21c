"""Signals while something is half started: unwind instead of dying, and clean up undisturbed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


def _exit(signum: int) -> BaseException:
    return SystemExit(128 + signum)


@contextmanager
def terminable(error: Callable[[int], BaseException] = _exit) -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the block instead of ending the process where it stands.

    By what `error` makes of the signal's number. Only where nobody else has a handler, and only in
    the main thread, where Python allows it.
    """

    def leave(signum: int, _: FrameType | None) -> None:
        raise error(signum)

    with _handlers((signal.SIGTERM, signal.SIGHUP), leave, only_default=True):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold off Ctrl-C and SIGTERM: a clean-up that is cut short leaves a machine running."""
    caught: list[tuple[Any, Any]] = []
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with _handlers(signals, lambda *got: caught.append(got), only_default=False):
        yield
    for signum, _ in caught:
        signal.raise_signal(signum)


@contextmanager
def _handlers(
    signals: tuple[signal.Signals, ...], handler: Any, *, only_default: bool
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in signals}
    for number, old in before.items():
        if not only_default or old is signal.SIG_DFL:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
