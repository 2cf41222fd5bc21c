"""A program of this host that reads what a device sent, within bounds.

It has no environment, no input and no terminal, and an end: in time, memory and output.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from resource import RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_FSIZE, prlimit


class ProgramError(Exception):
    """A program did not do its work; the text says why, as the end of a sentence about it."""


@dataclass(frozen=True)
class Bounds:
    """The most that a program may take: seconds, bytes of memory, bytes of each file it writes."""

    seconds: int
    memory: int
    output: int


@dataclass(frozen=True)
class Ran:
    """How a program ended, and what it wrote."""

    status: int
    out: str
    err: str


def run(command: Sequence[str | Path], place: Path, bounds: Bounds) -> Ran:
    """Run a program in the directory `place`, where its output is kept meanwhile.

    It is gone afterwards, with whatever it started. Raises ProgramError when it does not end by
    itself or not be started.
    """
    try:
        with (place / ".out").open("w+b") as out, (place / ".err").open("w+b") as err:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=place,
                env={
                    "LC_ALL": "C",
                    "PATH": os.environ.get("PATH", os.defpath),
                    "TMPDIR": str(place),
                },
                start_new_session=True,
            )
            _wait(process, bounds)
            if process.returncode < 0:
                raise ProgramError(f"was ended by {signal.Signals(-process.returncode).name}")
            out.seek(0)
            err.seek(0)
            return Ran(
                process.returncode, _text(out.read(bounds.output)), _text(err.read(bounds.output))
            )
    except OSError as e:
        raise ProgramError(f"could not be run: {e.strerror}") from e


def _wait(process: subprocess.Popen[bytes], bounds: Bounds) -> None:
    try:
        limits = {
            RLIMIT_AS: bounds.memory,
            RLIMIT_CPU: bounds.seconds,
            RLIMIT_FSIZE: bounds.output,
            RLIMIT_CORE: 0,
        }
        for limit, most in limits.items():
            with suppress(ProcessLookupError):  # it has ended already
                prlimit(process.pid, limit, (most, most))
        process.wait(bounds.seconds)
    except subprocess.TimeoutExpired:
        raise ProgramError(f"did not come to an end in {bounds.seconds} s") from None
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")
