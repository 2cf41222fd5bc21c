"""Measure droidheaders against doing the same by hand, on real guests.

    scripts/bench [--runs N] [--guests 6.1-arm64,6.1-x86_64] [--only PART,…]

Parts are boot, pull, push, check, run, module, unpack, cache, flags, compile, kdir and symvers,
which is of all kernels.

Contenders take turns in one run (A B A B …), so that a machine whose speed drifts is unfair to
neither; the figures are medians. Everything is written to a tmpfs: a journaling disk, or one after
many deletions, measures itself. The times are of whole processes unless it says "in process".
Exits with 1 when a figure misses its bound.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import lzma
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from droidheaders.build import kdir
from droidheaders.build.clang import find as find_clang
from droidheaders.cache import Bundle, Cache
from droidheaders.cache.space import measure as measure_space
from droidheaders.cache.space import on_disk
from droidheaders.cache.verify import damage
from droidheaders.debian.mirror import mirror
from droidheaders.debian.packages import Packages
from droidheaders.debian.packages import unpack as unpack_packages
from droidheaders.debian.place import cache_dir
from droidheaders.errors import DroidheadersError
from droidheaders.guest import kernel, kheaders, recipes
from droidheaders.headers.limits import Limits
from droidheaders.headers.tar import members
from droidheaders.headers.unpack import unpack
from droidheaders.headers.xz import XzStream
from droidheaders.importing import import_file
from droidheaders.kernel import KernelIdentity
from scripts.bench_symvers import bench_symvers
from tests import built_modules, modules, run_objects
from tests.build import distribution, programs

DROIDHEADERS = [sys.executable, "-m", "droidheaders", "--no-progress", "-q"]
MODULE = "/system_dlkm/lib/modules/$(uname -r)/kernel/kernel/kheaders.ko"


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


def bench_unpack(archive: Path, work: Path, runs: int) -> Iterator[Figure]:
    """Unpack one real archive, in process, against tar and tarfile."""
    ours, theirs, python = work / "ours", work / "tar", work / "tarfile"

    def unpack_ours() -> None:
        with archive.open("rb") as file:
            stream = XzStream(iter(lambda: file.read(1 << 18), b""))
            unpack(members(iter(stream), Limits()), ours, Limits())

    def unpack_tarfile() -> None:
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(python, filter="data")
            else:  # Debian 12's Python
                tar.extractall(python)

    a, b, c = paired(
        runs,
        (empty(ours), unpack_ours),
        (empty(theirs), lambda: run("tar", "xJf", str(archive), "-C", str(theirs))),
        (empty(python), unpack_tarfile),
    )
    yield Figure("unpack, in process, to tar xJf", a / b, "x", 0.95, f"{a:.3f} s to {b:.3f} s")
    yield Figure("unpack, in process, to tarfile", a / c, "x", 0.3, f"{a:.3f} s to {c:.3f} s")


def put(cache: Cache, archive: Path, release: str) -> Bundle:
    """Unpack and commit an archive as a pull does, without a device."""
    identity = KernelIdentity(release, "#1", "aarch64", hashlib.sha1(release.encode()).hexdigest())
    with cache.stage() as staging, archive.open("rb") as file, staging.archive.open("xb") as copy:
        staging.headers.mkdir()
        stream = XzStream(iter(lambda: file.read(1 << 18), b""), copy=copy)
        share = cache.neighbours(identity).share
        done = unpack(members(iter(stream), Limits()), staging.headers, Limits(), share)
        meta = {
            "arch": "arm64",
            "compiler": "",
            "sources": {},
            "warnings": [],
            "pulled": "",
            "archive": {"sha256": stream.sha256, "size": stream.size, "path": str(archive)},
            "headers": {"files": done.files, "bytes": done.bytes},
            "symlinks": done.symlinks,
        }
        return cache.commit(staging, identity, meta, done.sha256)


def bench_cache(archive: Path, older: Path, work: Path, disk: Path, runs: int) -> Iterator[Figure]:
    """Commit a kernel and its neighbour, and verify them; in process.

    What sharing saves is the writing, which costs nothing on a tmpfs: so on a disk as well.
    """
    store, theirs = work / "store", work / "tar"
    cache = Cache(store)
    first, tar = paired(
        runs,
        (empty(store), lambda: put(cache, archive, "new")),
        (empty(theirs), lambda: run("tar", "xJf", str(archive), "-C", str(theirs))),
    )
    detail = f"{first:.3f} s to {tar:.3f} s"
    yield Figure("unpack, manifest and commit, to tar xJf", first / tar, "x", 1.25, detail)

    for what, directory, bound in (("tmpfs", store, None), ("disk", disk / "store", 0.8)):
        elsewhere = Cache(directory)

        def older_alone(directory: Path = directory, elsewhere: Cache = elsewhere) -> None:
            empty(directory)()
            put(elsewhere, older, "old")
            os.sync()

        second, alone = paired(
            runs,
            (older_alone, lambda: put(elsewhere, archive, "new")),  # noqa: B023
            (empty(directory), lambda: put(elsewhere, archive, "new")),  # noqa: B023
        )
        detail = f"{second:.3f} s to {alone:.3f} s"
        yield Figure(f"a second kernel of the series, {what}", second / alone, "x", bound, detail)
    empty(store)()
    put(cache, older, "old")
    bundle = put(cache, archive, "new")
    spaces = [measure_space(b.path) for b in cache.bundles()]
    own_size = on_disk(spaces) - on_disk(
        [measure_space(b.path) for b in cache.bundles() if b != bundle]
    )
    whole = on_disk([measure_space(bundle.path)])
    detail = (
        f"{own_size / 1e6:.1f} MB of {whole / 1e6:.1f} MB, {archive.stat().st_size / 1e6:.1f} MB"
    )
    detail += " of it the archive"
    yield Figure("a second kernel of the series, disk", own_size / whole, "x", 0.1, detail)
    (seconds,) = paired(runs, (lambda: None, lambda: damage(bundle.path)))
    yield Figure("cache verify, a bundle, in process", seconds, "s", 0.25, "")


def bench_many(name: str, serial: str, work: Path, runs: int) -> Iterator[Figure]:
    """Pull one kernel with eight processes at once, against one."""
    cache = work / "cache"
    environment = {"DROIDHEADERS_CACHE": str(cache)}
    command = [*DROIDHEADERS, "pull", "-s", serial]

    def eight() -> None:
        started = [
            subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
            for _ in range(8)
        ]
        if any(process.wait() for process in started):
            raise SystemExit("a pull failed")

    many, one = paired(
        runs, (empty(cache), eight), (empty(cache), lambda: run(*command, env=environment))
    )
    detail = f"{many:.3f} s to {one:.3f} s"
    yield Figure(f"eight pulls at once, {name}, to one", many / one, "x", 1.3, detail)


def bench_pull(name: str, serial: str, work: Path, runs: int) -> Iterator[Figure]:
    """Pull from a guest whose shell is root, cold and warm, against adb and tar by hand.

    By hand is insmod, `adb pull`, rmmod and `tar xJf` for the headers, and two more `adb pull` for
    IKCONFIG and BTF, which a pull brings too.
    """
    cache, hand = work / "cache", work / "hand"
    environment = {"DROIDHEADERS_CACHE": str(cache)}

    def pull() -> None:
        run(*DROIDHEADERS, "pull", "-s", serial, env=environment)

    def headers_by_hand() -> None:
        adb = ["adb", "-s", serial]
        run(*adb, "shell", f"insmod {MODULE}")
        run(*adb, "pull", "/sys/kernel/kheaders.tar.xz", str(hand / "k.tar.xz"))
        run(*adb, "shell", "rmmod kheaders")
        run("tar", "xJf", str(hand / "k.tar.xz"), "-C", str(hand))

    def by_hand() -> None:
        headers_by_hand()
        run("adb", "-s", serial, "pull", "/proc/config.gz", str(hand / "config.gz"))
        run("adb", "-s", serial, "pull", "/sys/kernel/btf/vmlinux", str(hand / "btf"))

    cold, all_of_it, headers = paired(
        runs, (empty(cache), pull), (empty(hand), by_hand), (empty(hand), headers_by_hand)
    )
    yield Figure(
        f"cold pull, {name}, to the same files by hand",
        cold / all_of_it,
        "x",
        1.0,
        f"{cold:.3f} s to {all_of_it:.3f} s",
    )
    yield Figure(
        f"cold pull, {name}, to headers alone by hand",
        cold / headers,
        "x",
        None,
        f"{cold:.3f} s to {headers:.3f} s",
    )
    empty(cache)()
    peak = peak_memory([*DROIDHEADERS, "pull", "-s", serial], environment)
    yield Figure(f"peak memory of a cold pull, {name}", peak, "MB", 120, "")
    (warm,) = paired(runs, (lambda: None, pull))
    yield Figure(f"warm pull, {name}", warm, "s", 0.35, "")


def bench_push(name: str, serial: str, work: Path) -> Iterator[Figure]:
    """Put a whole tree onto a guest, against `adb push` of the directory, which checks nothing.

    Once each: emulated, making 6,000 files takes minutes.
    """
    environment = {"DROIDHEADERS_CACHE": str(work / "pushed")}
    headers = run(*DROIDHEADERS, "pull", "-s", serial, env=environment).strip()
    push = [*DROIDHEADERS, "push", "headers", "-s", serial]
    sent = timed(lambda: run(*push, env=environment))
    again = timed(lambda: run(*push, env=environment))
    gone = timed(lambda: run(*push, "--remove", env=environment))
    by_hand = timed(lambda: run("adb", "-s", serial, "push", headers, "/data/local/tmp/by-hand"))
    run("adb", "-s", serial, "shell", "rm -r /data/local/tmp/by-hand")
    what = f"push headers, {name}, to adb push of the directory"
    yield Figure(what, sent / by_hand, "x", 1.0, f"{sent:.1f} s to {by_hand:.1f} s")
    yield Figure(f"push headers that are there, {name}", again, "s", None, "every file is read")
    yield Figure(f"push headers --remove, {name}", gone, "s", None, "")


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
        "build module": lambda: run(
            *DROIDHEADERS, "build", "module", clean("ours"), *wish, env=environment
        ),
    }
    for what, action in commands.items():
        ours, hand = cpu(runs, action, lambda: by_hand(str(theirs.kdir), *words))
        detail = f"{ours:.2f} s to {hand:.2f} s"
        yield Figure(f"{what}, {name}, to make, CPU", ours / hand, "x", 1.1, detail)


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
    command = [*DROIDHEADERS, "-s", serial, "--cache-dir", str(work / "modules"), "run", "module"]

    def insert() -> None:
        assert "hello: goodbye world" in run(*command, str(hello))

    times = [timed(insert) for _ in range(runs)]
    detail = f"{min(times):.2f} to {max(times):.2f}"
    yield Figure(f"run module of a hello, {name}", statistics.median(times), "s", 1.2, detail)


def bench_memory(work: Path) -> Iterator[Figure]:
    """Unpack, in a process of its own, an archive of the largest files and dictionary allowed."""
    archive, target, limits = work / "large.tar.xz", work / "large", Limits()
    empty(target)()
    dictionary = {"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 64 << 20}
    with (
        lzma.open(archive, "wb", filters=[dictionary]) as file,
        tarfile.open(fileobj=file, mode="w|") as tar,
    ):
        for number in range((80 << 20) // limits.file):
            info = tarfile.TarInfo(f"include/large{number}.h")
            info.size = limits.file
            tar.addfile(info, io.BytesIO(os.urandom(limits.file)))
    script = (
        "import sys; from pathlib import Path; from droidheaders.transfer import *\n"
        "import adbutils, re\n"
        "stream = XzStream(iter(lambda f=open(sys.argv[1], 'rb'): f.read(1 << 16), b''))\n"
        "unpack(members(iter(stream), Limits()), Path(sys.argv[2]), Limits())\n"
        # Not what wait4(2) says: that counts this process, from fork to exec, and it has packed.
        "print(re.search(r'VmHWM: *\\t *(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    peak = int(run(sys.executable, "-c", script, str(archive), str(target))) * 1024 / 1e6
    yield Figure("peak memory, largest files and dictionary", peak, "MB", 120, "")


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


@contextmanager
def guest(name: str) -> Iterator[str]:
    """Start a guest whose shell is root, as a pull by hand needs it; its serial."""
    serial = run(*DROIDHEADERS, "emulator", "start", name, "--persona", "root").strip()
    try:
        yield serial
    finally:
        run(*DROIDHEADERS, "emulator", "stop", serial)


def previous(name: str, work: Path) -> Path:
    """Return the archive of a release before the guest's, packed as the guest's own is."""
    recipe = recipes.load(name)
    packages = Packages(cache_dir(), mirror(), [recipe.suite], recipe.arch)
    _, headers = kernel.resolve(packages, recipe)
    [newest] = [p.name for p in headers if p.name.endswith("-common")]
    abi = int(re.findall(r"-(\d+)-common", newest)[0])
    for older in range(abi - 1, 0, -1):
        names = [p.name.replace(f"-{abi}-", f"-{older}-") for p in headers if "headers" in p.name]
        try:
            found = packages.find(names, recipe.debian_arch)
        except DroidheadersError:
            continue
        unpack_packages(packages.fetch(found), work / "older")
        common, own = (
            next((work / "older/usr/src").glob(f"linux-headers-*{end}"))
            for end in ("common", "[!n]")
        )
        kheaders.merge(own, common, recipe.arch, work / "older/tree")
        kheaders.pack(work / "older/tree", work / "older.tar.xz", 0)
        shutil.rmtree(work / "older")
        return work / "older.tar.xz"
    raise SystemExit(f"the mirror has nothing older than {newest}")


PARTS = (
    *("boot", "pull", "push", "check", "run", "module", "unpack", "cache"),
    *("flags", "compile", "kdir", "symvers"),
)
UNBOOTED = {"flags", "compile", "kdir", "symvers", "boot"}


def measure(options: argparse.Namespace, work: Path, disk: Path) -> Iterator[Figure]:
    """Yield the figures that were asked for, as they come."""
    only, runs, names = set(options.only.split(",")), options.runs, options.guests.split(",")
    if "check" in only:
        yield from bench_module(work, runs)
    if "symvers" in only:
        yield from (Figure(*line) for line in bench_symvers(work, min(runs, 5)))
    for name in names:
        run(*DROIDHEADERS, "emulator", "setup", name)
        if "flags" in only and name == names[0]:
            yield from bench_build(name, work, runs, flags=True)
        if "compile" in only:
            yield from bench_build(name, work, runs, flags=False)
        if "kdir" in only:
            yield from bench_kdir(name, work, runs)
        if "boot" in only:
            yield from bench_boot(name, min(runs, 5))
        if only - UNBOOTED:
            with guest(name) as serial:
                yield from measure_guest(name, serial, only, work, runs)
                if name == names[0]:
                    yield from measure_host(name, serial, only, work, disk, runs)


def measure_guest(
    name: str, serial: str, only: set[str], work: Path, runs: int
) -> Iterator[Figure]:
    """Yield what each guest is measured for."""
    if "pull" in only:
        yield from bench_pull(name, serial, work, runs)
    if "push" in only:
        yield from bench_push(name, serial, work)
    if "check" in only:
        yield from bench_check(name, serial, work, runs)
    if "run" in only:
        yield from bench_run(name, serial, work, runs)
    if "module" in only:
        yield from bench_insertion(name, serial, work, runs)
    if "cache" in only:
        yield from bench_many(name, serial, work, runs)


def measure_host(
    name: str, serial: str, only: set[str], work: Path, disk: Path, runs: int
) -> Iterator[Figure]:
    """Yield what one guest's archive is enough for."""
    if "unpack" in only:
        cache = {"DROIDHEADERS_CACHE": str(work / "archive")}
        answer = run(*DROIDHEADERS, "pull", "--json", "-s", serial, env=cache)
        archive = Path(json.loads(answer)["path"]).parent / "archive.tar.xz"
        yield from bench_unpack(archive, work, runs)
        yield from bench_memory(work)
    if "cache" in only:
        archive = cache_dir() / "kernels" / name / "kheaders.tar.xz"
        yield from bench_cache(archive, previous(name, work), work, disk, runs)


def main() -> int:
    """Print the table, and return 1 when a bound was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--guests", default="6.1-arm64,6.1-x86_64")
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}, ", end="")
    print(f"Python {platform.python_version()}, median of {options.runs}")
    missed = 0
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as work,
        tempfile.TemporaryDirectory(dir="/var/tmp") as disk,
    ):
        for f in measure(options, Path(work), Path(disk)):
            missed += f.missed
            verdict = "MISSED" if f.missed else "ok" if f.bound is not None else ""
            bound = "" if f.bound is None else f"<= {f.bound:g}"
            print(f"{f.what:<48} {f.value:7.2f} {f.unit:<2} {bound:<8} {verdict:<6} {f.detail}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
