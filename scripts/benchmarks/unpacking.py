"""An archive unpacked: how fast, and in how much memory."""

from __future__ import annotations

import io
import json
import lzma
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from droidheaders.headers.limits import Limits
from droidheaders.headers.tar import members
from droidheaders.headers.unpack import unpack
from droidheaders.headers.xz import XzStream
from scripts.benchmarks.measuring import DROIDHEADERS, Figure, empty, paired, run


def bench_archive(serial: str, work: Path, runs: int) -> Iterator[Figure]:
    """Unpack the archive of a guest, and one that is as large as can be."""
    cache = {"DROIDHEADERS_CACHE": str(work / "archive")}
    answer = run(*DROIDHEADERS, "pull", "--json", "-s", serial, env=cache)
    archive = Path(json.loads(answer)["path"]).parent / "archive.tar.xz"
    yield from bench_unpack(archive, work, runs)
    yield from bench_memory(work)


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
