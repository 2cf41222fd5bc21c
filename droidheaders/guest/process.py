"""Processes that outlive us: named by pid and start time, since a pid alone is soon another's."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def start_time(pid: int) -> int | None:
    """Return when `pid` started, in clock ticks since boot; None when it is gone or a zombie.

    Fields 3 and 22 of /proc/PID/stat (proc(5)); the name before them may hold spaces and ")".
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def boot_id() -> str:
    """Return what names this boot of the host: start times mean nothing beyond it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def is_alive(pid: int, started: int) -> bool:
    """Tell whether the process is the very one that was started then."""
    return start_time(pid) == started


@contextmanager
def _handle(pid: int, started: int) -> Iterator[int | None]:
    """Give a pidfd of the very process that was started then, or None when it is gone."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield fd if is_alive(pid, started) else None
    finally:
        os.close(fd)


def wait_gone(pid: int, started: int, timeout: float) -> bool:
    """Return True as soon as the process is gone, False after `timeout` seconds."""
    with _handle(pid, started) as fd:
        if fd is None:
            return True
        poll = select.poll()
        poll.register(fd, select.POLLIN)  # readable when it ends, pidfd_open(2)
        poll.poll(timeout * 1000)
        return not is_alive(pid, started)


def kill(pid: int, started: int, timeout: float = 5.0) -> bool:
    """Kill the process and return whether it is gone; nothing else is ever hit.

    A child of ours is reaped by whoever started it; a zombie counts as gone.
    """
    with _handle(pid, started) as fd:
        if fd is None:
            return True
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    return wait_gone(pid, started, timeout)
