"""A command on this host that ends, with all it has started, when its time is over."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from droidheaders.adb.session import Piece

_CHUNK = 64 << 10
_TICK = 0.1
_GRACE = 1.0  # seconds between being asked to end and being killed


def run(
    command: str,
    directory: Path,
    variables: Mapping[str, str],
    write: Callable[[Piece], None],
    *,
    seconds: float | None,
    stopped: threading.Event,
) -> int | None:
    """Run `command` by sh, and return its status, 128 + N for signal N.

    None when it was ended: after `seconds`, or because `stopped` was set. Its process group ends
    with it either way. What it writes is handed to `write` as it comes.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=directory,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        handle = os.pidfd_open(child.pid)
        ended = False
        try:
            ended = _follow(child, handle, write, deadline, stopped)
        finally:
            _end(child.pid, handle)
            os.close(handle)
    if not ended:
        return None
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _follow(
    child: subprocess.Popen[bytes],
    handle: int,
    write: Callable[[Piece], None],
    deadline: float | None,
    stopped: threading.Event,
) -> bool:
    """Pass on what is written, and return whether the command has ended by itself.

    Not waited for is the end of what it writes: what it left running may hold that open.
    """
    assert child.stdout
    assert child.stderr
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        for stream in (child.stdout, child.stderr):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        while not stopped.is_set() and (deadline is None or time.monotonic() < deadline):
            ready = {key.fileobj for key, _ in selector.select(_TICK)}
            for stream in (child.stdout, child.stderr):
                if stream in ready and not _pass_on(stream, stream is child.stderr, write):
                    selector.unregister(stream)
            if handle in ready:
                for stream in (child.stdout, child.stderr):
                    _pass_on(stream, stream is child.stderr, write)
                return True
    return False


def _pass_on(stream: IO[bytes], error: bool, write: Callable[[Piece], None]) -> bool:
    """Pass on what is there, 1 MiB at most, and return whether more may come."""
    for _ in range(16):
        try:
            data = os.read(stream.fileno(), _CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return False
        write(Piece(error, data))
    return True


def _end(group: int, handle: int) -> None:
    """End the process group; its leader is not waited for, so that its number is nobody else's."""
    with selectors.DefaultSelector() as selector, suppress(ProcessLookupError):
        selector.register(handle, selectors.EVENT_READ)
        if not selector.select(0):
            os.killpg(group, signal.SIGTERM)
            selector.select(_GRACE)
        os.killpg(group, signal.SIGKILL)
