"""Run a program of the host's on the device as if it ran here: `run exec`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders.errors import DroidheadersError, OverrunError, UnsupportedError, UsageError
from droidheaders.objects.elf import machine_name
from droidheaders.objects.executable import MACHINES, Executable, read_executable
from droidheaders.run.greeting import Greeting, Who, become, greet
from droidheaders.run.process import Process
from droidheaders.run.recovery import recover
from droidheaders.run.scratch import file_name, reserved
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device, Piece, Session

_CHUNK = 64 << 10
_HEAD = 1 << 20  # bytes of a program that its headers are looked for in


def execute(
    device: Device,
    program: Path,
    arguments: Sequence[str],
    write: Callable[[Piece], None],
    *,
    stdin: int | None,
    who: Who | None = None,
    seconds: float | None = None,
) -> int:
    """Push `program`, run it with `arguments`, and return its status, 128 + N for signal N.

    What it writes goes to `write` as it comes, what comes from the descriptor `stdin` to it. On
    Ctrl-C it gets a SIGINT, and a second one kills it; its status is returned all the same. Raises
    UsageError for a file that is no program, UnsupportedError for one of another machine or without
    what starts it, OverrunError when it was ended after `seconds`, and DeviceLostError.
    """
    executable = _read(program)
    recover(device)
    with device.privileged() as root, reserved(device) as place:
        needed = [executable.interpreter] if executable.interpreter else []
        _check(device, program, executable, greet(device, place, needed))
        user, _ = become(root, who)
        path = f"{place}/{file_name(program, 'program')}"
        device.push(program, path, mode=0o755)
        with Process(user, place, [path, *arguments]) as process:
            _forward(process.session, stdin)
            return _follow(device, process, write, seconds)


def _read(program: Path) -> Executable:
    name = printable(str(program), 500)
    try:
        with program.open("rb") as file:
            return read_executable(file.read(_HEAD))
    except OSError as e:
        raise UsageError(
            f"cannot read {name}: {e.strerror}", "give the path of a program on this host"
        ) from e
    except ValueError as e:
        raise UsageError(f"{name} {printable(str(e))}", f"look with `file {name}`") from e


def _check(device: Device, program: Path, executable: Executable, greeting: Greeting) -> None:
    """Raise UnsupportedError for what the device cannot start, before it is pushed."""
    name = printable(str(program), 500)
    if not executable.runs_on(greeting.machine):
        own = machine_name(MACHINES[greeting.machine][0])
        raise UnsupportedError(
            f"{name} is for {executable.machine_name}, and {device.name} is"
            f" {greeting.machine} ({own})",
            f"build it for {greeting.machine}",
        )
    if greeting.absent:
        if not executable.machine:
            hint = "name one in its first line that is there, such as #!/system/bin/sh"
        else:
            hint = "link it statically (-static), or build it with the Android NDK"
        raise UnsupportedError(
            f"{name} is started by {printable(executable.interpreter)}, which {device.name} does"
            " not have",
            hint,
        )


def _forward(session: Session, stdin: int | None) -> None:
    """Pass on what comes from `stdin` until its end, from a thread of its own."""
    if stdin is None:
        session.close_stdin()
        return

    def pump() -> None:
        # Whatever is wrong with the connection, the one who reads from it finds out and tells.
        with suppress(OSError, DroidheadersError):
            while data := os.read(stdin, _CHUNK):
                session.write(data)
            session.close_stdin()

    threading.Thread(target=pump, name="stdin", daemon=True).start()


def _follow(
    device: Device, process: Process, write: Callable[[Piece], None], seconds: float | None
) -> int:
    """Pass on what is written until the end, and return the status."""
    session = process.session
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        while session.status is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                for piece in process.end():
                    write(piece)
                raise OverrunError(
                    f"the program still ran on {device.name} after {seconds:g} seconds, and was"
                    " ended",
                    "give it more time with --for SECONDS",
                )
            for piece in session.read(left):
                write(piece)
    except KeyboardInterrupt:
        ui.say("interrupted: waiting for the program to end; once more to kill it")
        process.signal("INT")
        while session.status is None:
            for piece in session.read():
                write(piece)
    return session.status
