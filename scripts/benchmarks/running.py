"""BPF and modules, run on a guest."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from droidheaders.guest import recipes
from scripts.benchmarks.measuring import DROIDHEADERS, Figure, run, timed
from tests import built_modules, run_objects


def bench_run(name: str, serial: str, work: Path, runs: int) -> Iterator[Figure]:
    """Run a compiled BPF object until the first line of its output is here, the whole command."""
    program = run_objects.write(work, "made", run_objects.MKDIR, recipes.load(name).arch)
    command = [*DROIDHEADERS, "run", "bpf", str(program), "-s", serial]
    command += ["--trigger", run_objects.TRIGGER, "--until", "made"]

    def first_event() -> float:
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            if b"made" not in process.stdout.readline():
                raise SystemExit("no event came first")
            return time.perf_counter() - started

    times = [first_event() for _ in range(runs + 1)][1:]  # the first builds the loader
    detail = f"{min(times):.2f} to {max(times):.2f}"
    yield Figure(f"run bpf to the first event, {name}", statistics.median(times), "s", 1.5, detail)


def bench_insertion(name: str, serial: str, work: Path, runs: int) -> Iterator[Figure]:
    """Load a module, see what it says, and unload it: the whole command."""
    hello = built_modules.built(name) / "hello.ko"
    place = ["-s", serial, "--cache-dir", str(work / "modules")]
    run(*DROIDHEADERS, *place, "pull")  # as one has who has built a module
    command = [*DROIDHEADERS, *place, "run", "module"]

    def insert() -> None:
        assert "hello: goodbye world" in run(*command, str(hello))

    times = [timed(insert) for _ in range(runs)]
    detail = f"{min(times):.2f} to {max(times):.2f}"
    yield Figure(f"run module of a hello, {name}", statistics.median(times), "s", 1.2, detail)
