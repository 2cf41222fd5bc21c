"""What builds BPF: the flags, and the compiler with them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from droidheaders.build.clang import find as find_clang
from droidheaders.cache import Cache
from droidheaders.debian.place import cache_dir
from droidheaders.importing import import_file
from scripts.benchmarks.measuring import DROIDHEADERS, Figure, cpu, run
from tests.build import programs


def bench_build(name: str, work: Path, runs: int, *, flags: bool) -> Iterator[Figure]:
    """Print flags for a kernel, or compile a program with all of its headers, against by hand."""
    environment = {"DROIDHEADERS_CACHE": str(work / "bundles")}
    archive = cache_dir() / "kernels" / name / "kheaders.tar.xz"
    bundle = import_file(archive, Cache(work / "bundles")).bundle
    printed = [*DROIDHEADERS, "flags", "--bpf"]
    if flags:
        for what, more in (("named", ["--bundle", bundle.name]), ("last used", [])):
            command = [*printed, *more]
            [seconds] = cpu(runs, lambda: run(*command, env=environment))  # noqa: B023
            yield Figure(f"flags, {what}, CPU", seconds, "s", 0.12, "")
        return
    source, made = work / "prog.bpf.c", str(work / "prog.bpf.o")
    read = "pid += BPF_CORE_READ(task, mm, owner, tgid);"  # llc cannot
    source.write_text(programs.KERNEL.replace(read, ""))
    words = run(*printed, "--bundle", bundle.name, env=environment).split()
    build = [*DROIDHEADERS, "build", "bpf", "--bundle", bundle.name, str(source), "-o", made]
    clang, ir = find_clang(), str(work / "prog.bc")
    llc = shutil.which(Path(clang).name.replace("clang", "llc")) or "llc"

    def by_hand() -> None:
        run(clang, *words, "-c", str(source), "-o", ir)
        run(llc, "-march=bpf", "-filetype=obj", ir, "-o", str(work / "hand.o"))

    ours, theirs = cpu(runs, lambda: run(*build, env=environment), by_hand)
    detail = f"{ours:.3f} s to {theirs:.3f} s"
    yield Figure(f"build bpf, {name}, to clang and llc, CPU", ours / theirs, "x", 1.1, detail)
