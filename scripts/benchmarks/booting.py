"""Guests started and stopped."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.benchmarks.measuring import DROIDHEADERS, Figure, run


def bench_boot(name: str, runs: int) -> Iterator[Figure]:
    """Start a guest, from power-on to a shell round trip, the whole command."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        serial = run(*DROIDHEADERS, "emulator", "start", name).strip()
        times.append(time.perf_counter() - started)
        run(*DROIDHEADERS, "emulator", "stop", serial)
    low, high = min(times), max(times)
    yield Figure(
        f"power-on to shell, {name}", statistics.median(times), "s", 3.0, f"{low:.2f} to {high:.2f}"
    )


def bench_restore(name: str, runs: int) -> Iterator[Figure]:
    """Take fresh guests out of a snapshot: to the answer of a command in a shell, in process."""
    from droidheaders.adb import Selector, Server, resolve_endpoint
    from droidheaders.guest.guest import Guest

    server, times = Server(resolve_endpoint()), []
    Guest.save(name, server=server)
    for turn in range(runs + 1):
        started = time.perf_counter()
        with Guest.fresh(name, server=server) as fresh:
            said = server.select(Selector(serial=fresh.serial)).shell("echo here").stdout
            if said != b"here\n":
                raise SystemExit(f"{name} said {said!r}")
            if turn:  # the first one imports
                times.append(time.perf_counter() - started)
    low, high = min(times), max(times)
    yield Figure(
        f"snapshot to shell, {name}",
        statistics.median(times),
        "s",
        0.35,
        f"{low:.2f} to {high:.2f}",
    )


@contextmanager
def guest(name: str) -> Iterator[str]:
    """Start a guest whose shell is root, as a pull by hand needs it; its serial."""
    serial = run(*DROIDHEADERS, "emulator", "start", name, "--persona", "root").strip()
    try:
        yield serial
    finally:
        run(*DROIDHEADERS, "emulator", "stop", serial)
