"""A program that runs on the device out of a scratch directory, and that can be ended for sure."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from droidheaders.change import PID
from droidheaders.errors import DroidheadersError

if TYPE_CHECKING:
    from droidheaders.adb import Device, Piece, Root

GRACE = 3.0
"""Seconds that a program is given between being asked to end and being killed."""

_KILLED = 2.0


class Process:
    """A running program; a context manager, which ends it when it is left early.

    Its pid is kept beside it, for whoever has to end it when we are gone: run/recovery.py.
    """

    def __init__(self, user: Device | Root, place: str, command: Sequence[str]) -> None:
        """Start `command`, whose first word is a file in `place`, a scratch directory."""
        self._user = user
        self._pid = f"{place}/{PID}"
        self.session = user.session(f"echo $$ >{self._pid} && exec {shlex.join(command)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            for _ in self.end():
                pass
        finally:
            self.session.close()

    def signal(self, name: str) -> None:
        """Send a signal to the program and its group; raises what `shell` raises."""
        self._user.shell(
            f"p=$(cat {self._pid}) && {{ kill -{name} -- -$p || kill -{name} $p; }} 2>/dev/null"
        )

    def end(self, signal: str = "TERM") -> Iterator[Piece]:
        """Ask it to end, have it killed when it does not, and yield what it still writes.

        Nothing is raised: a device that is lost has ended it too.
        """
        with suppress(DroidheadersError):
            for name, patience in ((signal, GRACE), ("KILL", _KILLED)):
                if self.session.status is not None:
                    return
                self.signal(name)
                deadline = time.monotonic() + patience
                while self.session.status is None and (left := deadline - time.monotonic()) > 0:
                    yield from self.session.read(left)
