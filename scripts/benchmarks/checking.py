"""What is asked about a device, and about a module."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmarks.measuring import DROIDHEADERS, Figure, paired, run
from tests import modules


def bench_check(name: str, serial: str, work: Path, runs: int) -> Iterator[Figure]:
    """Ask a guest everything, the kernel known to the cache or not."""
    environment = {"DROIDHEADERS_CACHE": str(work / "none")}

    def ask() -> None:
        run(*DROIDHEADERS, "check", "-s", serial, env=environment)

    (asked,) = paired(runs, (lambda: None, ask))
    yield Figure(f"check, {name}", asked, "s", 0.6, "")


def bench_module(work: Path, runs: int) -> Iterator[Figure]:
    """Judge a module that asks for 10,000 symbols, each with its CRC, by as large a table."""
    wanted = {f"symbol_number_{number:05}": number + 1 for number in range(10_000)}
    module, symvers, config = (work / name for name in ("large.ko", "Module.symvers", ".config"))
    module.write_bytes(modules.module(undefined=list(wanted), versions=wanted))
    lines = (f"{crc:#010x}\t{name}\tvmlinux\tEXPORT_SYMBOL\t\n" for name, crc in wanted.items())
    symvers.write_text("".join(lines))
    config.write_text(
        "# Linux/arm64 6.1.99 Kernel Configuration\n"
        + "".join(f"CONFIG_{name}=y\n" for name in ("ARM64", "MODULES", "MODVERSIONS", "SMP"))
    )

    def judge() -> None:
        done = subprocess.run(
            [*DROIDHEADERS, "--json", "check", *map(str, (module, symvers, config))],
            stdout=subprocess.PIPE,
            check=False,
        )
        [file] = json.loads(done.stdout)["files"]
        assert (file["undefined"], file["missing"], file["crc_differs"]) == (10_000, [], [])

    (judged,) = paired(runs, (lambda: None, judge))
    yield Figure("check of a module with 10,000 symbols", judged, "s", 0.5, "")
