"""What fuzzing begins with: archives of every shape that the tests know, good and bad."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Iterator
from pathlib import Path

from tests import archives, bpf_objects, images, modules
from tests.archives import RELEASE, with_good
from tests.faults import test_cves, test_limits, test_links, test_paths, test_tar_headers
from tests.fuzz.targets import SMALL

_LARGEST = 1 << 16  # a large one makes every run slow, and shows nothing new


def seeds(target: str) -> list[bytes]:
    """Return inputs for one of the targets."""
    of = {"tar": _tars, "xz": _streams, "module": _modules, "image": _images, "bpf": _bpf}
    found = (of | {"ko": _kos})[target]()
    return [seed for seed in dict.fromkeys(found) if len(seed) <= _LARGEST]


def _tars() -> Iterator[bytes]:
    tables = (
        test_paths.REFUSED,
        test_links.REFUSED,
        test_tar_headers.REFUSED,
        test_cves.CVES,
    )
    for case in (case for table in tables for case in table):
        made = case.values[0]
        yield made(Path("/tmp")) if callable(made) else made  # type: ignore[misc]
    for case in (*test_links.ODD, *test_links.KEPT, *test_tar_headers.ACCEPTED):
        made = case.values[0]
        yield with_good(made(Path("/tmp")) if callable(made) else made)  # type: ignore[arg-type]
    for kind in (0, 1, 2):
        yield archives.tar(kind=kind, links={"include/l.h": "linux/sched.h"})


def _streams() -> Iterator[bytes]:
    for case in (*test_limits.STREAMS, *test_limits.ACCEPTED):
        data = case.values[0]
        assert isinstance(data, bytes)
        yield b"\x40" + data
    yield b"\x00" + lzma.compress(b"")


def _modules() -> Iterator[bytes]:
    yield archives.module(SMALL)
    yield archives.module(SMALL, release=RELEASE + "-other")
    yield archives.module(SMALL, stated=1)
    yield archives.module(SMALL)[:-5]


def _images() -> Iterator[bytes]:
    yield from (data for _, data in images.KERNELS.values())


def _bpf() -> Iterator[bytes]:
    yield bpf_objects.program(*bpf_objects.ALL)
    yield bpf_objects.program("x = t->pid", "struct task_struct { int pid; };")
    yield bpf_objects.btf_of(bpf_objects.compiled(bpf_objects.KERNEL))


def _kos() -> Iterator[bytes]:
    whole = modules.module(
        undefined=("_printk", "kfree"),
        weak=("maybe",),
        versions={"_printk": 1, "kfree": 2},
        extended={"_printk": 1, "k" * 99: 2},
        exports={"first": (3, "", False), "second": (4, "SPACE", True)},
        sections={
            ".note.gnu.build-id": bytes.fromhex("040000001400000003000000474e5500") + bytes(20)
        },
    )
    yield from (whole, modules.signed(whole), lzma.compress(whole), gzip.compress(whole))
    yield archives.module(SMALL)
