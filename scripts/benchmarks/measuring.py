"""Figures, and the clocks they are taken with."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DROIDHEADERS = [sys.executable, "-m", "droidheaders", "--no-progress", "-q"]


@dataclass
class Figure:
    """One line of the table: `value` is held to `bound`, both in `unit`; "x" is a ratio.

    A figure without a bound is there to be known.
    """

    what: str
    value: float
    unit: str
    bound: float | None
    detail: str

    @property
    def missed(self) -> bool:
        """Tell whether the value is beyond its bound."""
        return self.bound is not None and self.value > self.bound


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that `action` takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def paired(
    runs: int, *contenders: tuple[Callable[[], object], Callable[[], object]]
) -> list[float]:
    """Return the median seconds of each contender, given as (prepare, measured) and run in turn."""
    times: list[list[float]] = [[] for _ in contenders]
    for turn in range(runs + 1):
        for (prepare, measured), taken in zip(contenders, times, strict=True):
            prepare()
            seconds = timed(measured)
            if turn:  # the first turn warms caches
                taken.append(seconds)
    return [statistics.median(taken) for taken in times]


def cpu(runs: int, *contenders: Callable[[], object]) -> list[float]:
    """Return the median seconds of CPU that each contender's processes took, run in turn."""
    times: list[list[float]] = [[] for _ in contenders]
    for turn in range(runs + 1):
        for contender, taken in zip(contenders, times, strict=True):
            before = os.times()
            contender()
            after = os.times()
            if turn:  # the first turn warms caches
                user = after.children_user - before.children_user
                taken.append(user + after.children_system - before.children_system)
    return [statistics.median(taken) for taken in times]


def peak_memory(command: list[str], environment: dict[str, str]) -> float:
    """Return the largest resident size of a command's process, in MB."""
    with subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return usage.ru_maxrss / 1000


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """Run a command to its end and return its stdout; its failure ends the benchmark."""
    done = subprocess.run(
        command, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def empty(directory: Path) -> Callable[[], None]:
    """Return what makes `directory` exist and be empty."""

    def prepare() -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()

    return prepare
