"""How what is wrong becomes the end of a test: a failure, or a skip."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import NoReturn

import pytest

from droidheaders.errors import DroidheadersError

_HOUSE = "droidheaders."
_SAID = 40
"""Lines of what a compiler or the kernel said that a failure shows: the last ones."""


def text(message: str, hint: str = "", said: Sequence[str] = ()) -> str:
    """Return a failure as it is read: the sentence, what to do next, and what was said."""
    lines = [message, *([f"hint: {hint}"] if hint else [])]
    lines += ["…"] if len(said) > _SAID else []
    return "\n".join([*lines, *(f"  {line}" for line in said[-_SAID:])])


def fail(error: DroidheadersError, said: Sequence[str] = ()) -> NoReturn:
    """Fail the test that runs, or skip it where it is the kernel that cannot."""
    __tracebackhide__ = True
    if error.kind == "unsupported":
        raise pytest.skip.Exception(error.message) from None
    raise pytest.fail.Exception(text(error.message, error.hint, said)) from None


def instead(error: BaseException | None, sentence: str) -> BaseException:
    """Return a failure for the place where `error` left the test's own code, if there is one."""
    trace = error and error.__traceback__ and error.__traceback__.tb_next  # the first is ours, too
    frames = []
    while trace and not trace.tb_frame.f_globals.get("__name__", "").startswith(_HOUSE):
        frames.append(trace)
        trace = trace.tb_next
    last = None
    for one in reversed(frames):
        last = TracebackType(last, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return pytest.fail.Exception(sentence, pytrace=bool(last)).with_traceback(last)


@contextmanager
def told() -> Iterator[None]:
    """Give the block's error to the person as a fixture's: without how our code got there."""
    try:
        yield
    except DroidheadersError as error:
        if error.kind == "unsupported":
            raise pytest.skip.Exception(error.message) from None
        raise pytest.fail.Exception(text(error.message, error.hint), pytrace=False) from None


def terminated(number: int) -> BaseException:
    """Return what ends the session for a signal, with all that is torn down on Ctrl-C."""
    return pytest.exit.Exception(f"ended by {signal.Signals(number).name}", 128 + number)
