"""How what is wrong becomes the end of a test: a failure, or a skip."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import pytest

from droidheaders.errors import DroidheadersError

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
