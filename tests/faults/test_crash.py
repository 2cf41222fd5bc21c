"""A pull that dies, is interrupted, or finds the disk full or broken, at every point of its way."""

from __future__ import annotations

import gzip
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archives import GOOD, tar, xz
from tests.fake_device import FakeDevice
from tests.faults.crashing import FAULTS, POINTS
from tests.faults.invariant import verified_or_none
from tests.faults.puller import Puller

HEADERS = {f"include/linux/many{n}.h": os.urandom(3000) for n in range(100)}
ARCHIVE = xz(tar({**GOOD, **HEADERS}, links={"include/linux/task.h": "sched.h"}))
BTF = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 0, 0, 1) + b"\0"

CRASHING = "tests.faults.crashing"
STATUS = {"SIGKILL": -9, "SIGINT": 130, "SIGTERM": 143, "ENOSPC": 1, "EIO": 1}
# Behind these, the bundle is there whatever happens.
COMMITTED = ("parent synced", "indexed", "index published")
# Where a failing disk stops nothing: a lock is a courtesy.
HARMLESS = ("lock taken",)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDevice]:
    with FakeDevice(tmp_path_factory.mktemp("device") / "root", ARCHIVE) as device:
        device.write("proc/config.gz", gzip.compress(b"CONFIG_IKHEADERS=m\n"))
        device.write("sys/kernel/btf/vmlinux", BTF)
        yield device


@pytest.fixture
def puller(device: FakeDevice, tmp_path: Path) -> Puller:
    return Puller(device, tmp_path, {**GOOD, **HEADERS})


@pytest.mark.parametrize(
    "fault", [pytest.param(f, marks=[pytest.mark.full] * (f == "SIGTERM")) for f in FAULTS]
)
@pytest.mark.parametrize("point", POINTS)
def test_crash(puller: Puller, point: str, fault: str) -> None:
    count = 50 if point == "header written" else 1
    with puller.start(point, fault, str(count), "pull", module=CRASHING) as process:
        out, err = process.communicate(timeout=60)
    harmless = point in HARMLESS and fault.startswith("E")
    assert process.returncode == (0 if harmless else STATUS[fault]), err
    assert (out != "") == harmless
    assert "Traceback" not in err
    if STATUS[fault] == 1 and not harmless:
        assert [line.split(":")[0] for line in err.splitlines()] == ["error", "hint"]
    assert len(verified_or_none(puller.cache)) == (harmless or point in COMMITTED)
    if fault != "SIGKILL":
        assert [p for p in puller.cache.rglob(".*") if p.is_dir()] == []
    puller.check()
    puller.pull()


def test_the_points_are_all_passed(puller: Puller) -> None:
    """Or a point that no pull passes would be a test of nothing."""
    script = """
import re, sys
from tests.faults.crashing import POINTS, main
passed = set()
def hook(event, arguments):
    for point, (name, pattern) in POINTS.items():
        if event == name and any(re.search(pattern, str(a)) for a in arguments):
            passed.add(point)
sys.addaudithook(hook)
sys.argv = ["droidheaders", "pull"]
try:
    main()
finally:
    print(*set(POINTS) - passed, sep=", ", file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=puller.environment,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == ""


def kill_at_random(puller: Puller, seed: int, within: float) -> bool:
    """Pull into an empty cache, kill that at a random time, and tell whether it was still alive.

    `within` is about how long a pull takes here, in seconds.
    """
    for path in puller.cache.glob("kernels/[!.]*"):
        path.rename(path.with_name(f".staging-{seed}"))
    with puller.start("pull") as process:
        time.sleep(random.Random(seed).uniform(0.2, 1.0) * within)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    puller.check()
    if seed % 5 == 0:
        puller.pull()
    return process.returncode == -signal.SIGKILL


def kill(puller: Puller, seeds: range) -> int:
    """Kill a pull with each seed; return how many were alive."""
    started = time.monotonic()
    puller.pull()
    within = time.monotonic() - started
    killed = sum(kill_at_random(puller, seed, within) for seed in seeds)
    puller.pull()
    return killed


@pytest.mark.full
def test_two_hundred_random_kills(puller: Puller) -> None:
    assert kill(puller, range(200)) > 50, "most pulls were over before they could be killed"


def test_some_random_kills(puller: Puller) -> None:
    assert kill(puller, range(1000, 1010))


def test_what_kills_left_is_swept(puller: Puller) -> None:
    with puller.start("published", "SIGKILL", "1", "pull", module=CRASHING) as process:
        process.communicate(timeout=60)
    [left] = puller.cache.glob("kernels/.staging-*")
    os.utime(left, (1, 1))
    puller.pull()
    assert not re.search(r"\.staging", " ".join(p.name for p in puller.cache.rglob("*")))
