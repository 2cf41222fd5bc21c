"""Commands on the device that are to make a program fire, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from droidheaders.errors import DroidheadersError
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device, Root, Session

_PATIENCE = 3.0  # seconds
_KEPT = 4096  # bytes of what a command says


class Triggers:
    """Runs commands in the device's sh as `user`, in a thread; `failures` tells what went wrong."""

    def __init__(self, user: Device | Root, commands: Sequence[str]) -> None:
        self.failures: list[str] = []
        self._user = user
        self._commands = commands
        self._session: Session | None = None
        self._stopped = False
        self._hung_up = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="triggers", daemon=True)

    def start(self) -> None:
        """Begin with the first."""
        if self._commands:
            self._thread.start()

    @property
    def running(self) -> bool:
        """Whether one runs, or is still to be."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Begin no other, and hang up on the one that runs unless it ends soon.

        One that is cut off leaves behind what it meant to take away.
        """
        self._stopped = True
        if self._thread.ident:
            self._thread.join(_PATIENCE)
        with self._lock:
            self._hung_up = True
            if self._session:
                self._session.close()
        if self._thread.ident:
            self._thread.join(1.0)

    def _run(self) -> None:
        for command in self._commands:
            try:
                self._one(command)
            except (DroidheadersError, OSError) as e:
                if not self._hung_up:  # else it was we who hung up
                    self._fail(command, f"was broken off: {e}")
            if self._stopped:
                return

    def _one(self, command: str) -> None:
        session = self._user.session(command)
        with self._lock:
            self._session = session
            if self._hung_up:
                session.close()
                return
        said = b""
        with session:
            session.close_stdin()
            while session.status is None:
                for piece in session.read():
                    said = (said + piece.data)[-_KEPT:]
        if session.status:
            lines = said.decode("utf-8", "replace").strip().splitlines()
            last = f": {printable(lines[-1])}" if lines else ""
            self._fail(command, f"ended with status {session.status}{last}")

    def _fail(self, command: str, how: str) -> None:
        self.failures.append(f"the trigger {printable(command)} {how}")
        ui.warn(self.failures[-1])
