"""A kdir made, and modules built in it, held to the distribution's own headers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from droidheaders.build import kdir
from droidheaders.cache import Cache
from droidheaders.debian.place import cache_dir
from droidheaders.importing import import_file
from scripts.benchmarks.measuring import DROIDHEADERS, Figure, cpu, paired, run
from tests.build import distribution


def bench_kdir(name: str, work: Path, runs: int) -> Iterator[Figure]:
    """Make a kdir out of cached packages, and build modules against the distribution's headers."""
    environment = {"DROIDHEADERS_CACHE": str(work / "bundles")}
    archive = cache_dir() / "kernels" / name / "kheaders.tar.xz"
    cache = Cache(work / "bundles")
    bundle = import_file(archive, cache).bundle
    theirs = distribution.distribution(name)
    wish = ["--bundle", bundle.name, "--symvers", str(theirs.symvers)]
    command = [*DROIDHEADERS, "kdir", *wish]
    [seconds] = paired(
        runs,
        (lambda: cache.derived.forget(bundle.name), lambda: run(*command, env=environment)),
    )
    yield Figure(f"kdir, {name}, packages cached", seconds, "s", 2, "")
    told = json.loads(run(*command, "--json", env=environment))
    yield from bench_make(
        name,
        work,
        theirs,
        told,
        lambda directory: run(*DROIDHEADERS, "build", "module", directory, *wish, env=environment),
        runs,
    )


def bench_make(
    name: str,
    work: Path,
    theirs: distribution.Distribution,
    told: Mapping[str, Any],
    build: Callable[[str], object],
    runs: int,
) -> Iterator[Figure]:
    """Build modules by make in a kdir, as `told` of it, and by `build`, against plain make."""
    variables = told["toolchain"]["make"]
    words = [f"{n}={v}" for n, v in variables.items()] + [f"-j{os.cpu_count()}"]
    words += [f"CC={' '.join(kdir.compiler(variables))}", "CONFIG_DEBUG_INFO_BTF_MODULES="]

    def clean(side: str) -> str:
        shutil.rmtree(work / side, ignore_errors=True)
        shutil.copytree("tests/build/projects/features", work / side)
        return str(work / side)

    def by_hand(place: str, *more: str) -> None:
        run("make", "-s", "-C", place, f"M={clean('hand')}", *more, "modules")

    commands: dict[str, Callable[[], object]] = {
        "make in a kdir": lambda: by_hand(told["kdir"], f"-j{os.cpu_count()}"),
        "build module": lambda: build(clean("ours")),
    }
    for what, action in commands.items():
        ours, hand = cpu(runs, action, lambda: by_hand(str(theirs.kdir), *words))
        detail = f"{ours:.2f} s to {hand:.2f} s"
        yield Figure(f"{what}, {name}, to make, CPU", ours / hand, "x", 1.1, detail)
