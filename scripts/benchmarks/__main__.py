"""Measure droidheaders against doing the same by hand, on real guests.

    scripts/bench [--runs N] [--guests 6.1-arm64,6.1-x86_64] [--only PART,…]

Parts are boot, restore, pull, push, check, run, module, unpack, cache, flags, compile, kdir and
symvers, which is of all kernels.

Contenders take turns in one run (A B A B …), so that a machine whose speed drifts is unfair to
neither; the figures are medians. Everything is written to a tmpfs: a journaling disk, or one after
many deletions, measures itself. The times are of whole processes unless it says "in process".
Exits with 1 when a figure misses its bound.
"""

from __future__ import annotations

import argparse
import compileall
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.benchmarks.booting import bench_boot, bench_restore, guest
from scripts.benchmarks.caching import bench_cache_of, bench_many
from scripts.benchmarks.checking import bench_check, bench_module
from scripts.benchmarks.compiling import bench_build
from scripts.benchmarks.kdirs import bench_kdir
from scripts.benchmarks.measuring import DROIDHEADERS, Figure, run
from scripts.benchmarks.running import bench_insertion, bench_run
from scripts.benchmarks.symvers import bench_symvers
from scripts.benchmarks.transferring import bench_pull, bench_push
from scripts.benchmarks.unpacking import bench_archive


@dataclass(frozen=True)
class Setting:
    """Where it is measured and how often; the guest's `name` and `serial` are "" before there."""

    work: Path
    disk: Path
    runs: int
    name: str = ""
    serial: str = ""


Parts = Mapping[str, Callable[[Setting], Iterator[Figure]]]

ONCE: Parts = {
    "check": lambda at: bench_module(at.work, at.runs),
    "symvers": lambda at: bench_symvers(at.work, min(at.runs, 5)),
}
FIRST_KERNEL: Parts = {"flags": lambda at: bench_build(at.name, at.work, at.runs, flags=True)}
EACH_KERNEL: Parts = {
    "compile": lambda at: bench_build(at.name, at.work, at.runs, flags=False),
    "kdir": lambda at: bench_kdir(at.name, at.work, at.runs),
    "boot": lambda at: bench_boot(at.name, min(at.runs, 5)),
    "restore": lambda at: bench_restore(at.name, at.runs),
}
EACH_GUEST: Parts = {
    "pull": lambda at: bench_pull(at.name, at.serial, at.work, at.runs),
    "push": lambda at: bench_push(at.name, at.serial, at.work),
    "check": lambda at: bench_check(at.name, at.serial, at.work, at.runs),
    "run": lambda at: bench_run(at.name, at.serial, at.work, at.runs),
    "module": lambda at: bench_insertion(at.name, at.serial, at.work, at.runs),
    "cache": lambda at: bench_many(at.name, at.serial, at.work, at.runs),
}
FIRST_GUEST: Parts = {
    "unpack": lambda at: bench_archive(at.serial, at.work, at.runs),
    "cache": lambda at: bench_cache_of(at.name, at.work, at.disk, at.runs),
}
PARTS = tuple(dict.fromkeys([*EACH_GUEST, *FIRST_GUEST, *FIRST_KERNEL, *EACH_KERNEL, *ONCE]))


def measure(names: list[str], only: set[str], at: Setting) -> Iterator[Figure]:
    """Yield the figures that were asked for, as they come."""

    def asked(parts: Parts, there: Setting) -> Iterator[Figure]:
        for part, bench in parts.items():
            if part in only:
                yield from bench(there)

    yield from asked(ONCE, at)
    for name in names:
        run(*DROIDHEADERS, "emulator", "setup", name)
        first, there = name == names[0], replace(at, name=name)
        if first:
            yield from asked(FIRST_KERNEL, there)
        yield from asked(EACH_KERNEL, there)
        if only & {*EACH_GUEST, *FIRST_GUEST}:
            with guest(name) as serial:
                there = replace(there, serial=serial)
                yield from asked(EACH_GUEST, there)
                if first:
                    yield from asked(FIRST_GUEST, there)


def main() -> int:
    """Print the table, and return 1 when a bound was missed."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--guests", default="6.1-arm64,6.1-x86_64")
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}, ", end="")
    print(f"Python {platform.python_version()}, median of {options.runs}")
    # As an installed one has it; PYTHONDONTWRITEBYTECODE leaves a checkout without.
    compileall.compile_dir("droidheaders", quiet=1)
    missed = 0
    names, only = options.guests.split(","), set(options.only.split(","))
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as work,
        tempfile.TemporaryDirectory(dir="/var/tmp") as disk,
    ):
        for f in measure(names, only, Setting(Path(work), Path(disk), options.runs)):
            missed += f.missed
            verdict = "MISSED" if f.missed else "ok" if f.bound is not None else ""
            bound = "" if f.bound is None else f"<= {f.bound:g}"
            print(f"{f.what:<48} {f.value:7.2f} {f.unit:<2} {bound:<8} {verdict:<6} {f.detail}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
