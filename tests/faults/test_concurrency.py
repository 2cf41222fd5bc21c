"""Many at once on one cache: the work is done once, everybody succeeds, nothing is ever half."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adb.fake_server import Peer
from tests.archives import GOOD, tar, xz
from tests.fake_device import FakeDevice
from tests.faults.invariant import verified_or_none
from tests.faults.puller import Puller

HEADERS = {**GOOD, **{f"include/linux/many{n}.h": os.urandom(3000) for n in range(50)}}
ARCHIVE = xz(tar(HEADERS))
OTHER = {**HEADERS, "include/generated/utsrelease.h": b'#define UTS_RELEASE "6.1.100-test"\n'}


@pytest.fixture
def device(tmp_path: Path) -> Iterator[FakeDevice]:
    with FakeDevice(tmp_path / "device", ARCHIVE) as device:
        yield device


@pytest.fixture
def puller(device: FakeDevice, tmp_path: Path) -> Puller:
    return Puller(device, tmp_path, HEADERS)


def end(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Wait for them all; return status, stdout and stderr of each."""
    done = []
    for process in processes:
        with process:
            out, err = process.communicate(timeout=60)
            done.append((process.returncode, out, err))
    return done


def all_good(puller: Puller, results: list[tuple[int, str, str]]) -> None:
    [bundle] = verified_or_none(puller.cache)
    assert [(status, out) for status, out, _ in results] == [(0, f"{bundle.headers}\n")] * len(
        results
    ), results
    assert [p for p in puller.cache.rglob(".*") if p.is_dir()] == []
    puller.check()


class Gate:
    """Holds whoever reads the archive from the device until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, device: FakeDevice, peer: Peer, sent: int) -> None:
        if sent:
            self.reached.set()
            assert self.open.wait(30)


@pytest.mark.parametrize("count", [2, 8])
def test_the_work_is_done_once(puller: Puller, count: int) -> None:
    results = end([puller.start("pull") for _ in range(count)])
    all_good(puller, results)
    assert puller.transfers == 1


def test_who_waits_is_told(puller: Puller) -> None:
    gate = puller.device.fault = Gate()
    first = puller.start("pull")
    assert gate.reached.wait(30)
    second = puller.start("pull")
    time.sleep(2)
    gate.open.set()
    results = end([first, second])
    all_good(puller, results)
    assert "waiting for 6.1.99-test to come into the cache: somebody else is at it" in results[1][2]
    assert puller.transfers == 1


def test_without_locks_all_do_the_work(puller: Puller) -> None:
    """As on a network disk: what the lock's open would raise there is raised here."""
    fault = ("lock taken", "ENOLCK", "1", "pull")
    gate = puller.device.fault = Gate()
    processes = [puller.start(*fault, module="tests.faults.crashing") for _ in range(4)]
    while puller.transfers < 4:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)
    gate.open.set()
    all_good(puller, end(processes))


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_another_takes_over_from_one_that_dies(puller: Puller, stop: signal.Signals) -> None:
    gate = puller.device.fault = Gate()
    first = puller.start("pull")
    assert gate.reached.wait(30)
    others = [puller.start("pull") for _ in range(3)]
    time.sleep(0.7)  # for them to wait; were they not there yet, the test would still be right
    first.send_signal(stop)
    gate.open.set()
    assert end([first])[0][0] == (-9 if stop == signal.SIGKILL else 130)
    results = end(others)
    [bundle] = verified_or_none(puller.cache)
    assert [(status, out) for status, out, _ in results] == [(0, f"{bundle.headers}\n")] * 3
    assert puller.transfers == 2
    puller.check()


def test_who_waits_can_be_interrupted(puller: Puller) -> None:
    gate = puller.device.fault = Gate()
    first = puller.start("pull")
    assert gate.reached.wait(30)
    second = puller.start("pull")
    time.sleep(2)
    second.send_signal(signal.SIGINT)
    assert end([second])[0][0] == 130
    gate.open.set()
    all_good(puller, end([first]))


def test_refreshing_at_once(puller: Puller) -> None:
    puller.pull()
    all_good(puller, end([puller.start("pull", "--refresh") for _ in range(4)]))


def test_a_hit_beside_a_refresh(puller: Puller) -> None:
    """A bundle is replaced by two renames; whoever looks between them transfers it too."""
    puller.pull()
    processes = [puller.start("pull", *["--refresh"] * (n % 2)) for n in range(6)]
    all_good(puller, end(processes))


def test_pulling_and_pruning_at_once(puller: Puller) -> None:
    """Every pull succeeds, though what it made may be gone when it says so."""
    stop = threading.Event()
    pruned = []

    def prune() -> None:
        while not stop.is_set():
            [(status, out, err)] = end([puller.start("cache", "prune", "--keep", "0")])
            pruned.append((status, err, out))

    thread = threading.Thread(target=prune)
    thread.start()
    try:
        for _ in range(4):
            for status, out, err in end([puller.start("pull") for _ in range(2)]):
                assert status == 0, err
                assert out.startswith(str(puller.cache))
            verified_or_none_but_going(puller.cache)
    finally:
        stop.set()
        thread.join()
    assert {status for status, *_ in pruned} == {0}, pruned
    assert any(out for *_, out in pruned)
    puller.pull()


def verified_or_none_but_going(cache: Path) -> None:
    """Check the bundles, one of which may be taken away while it is looked at."""
    try:
        verified_or_none(cache)
    except (AssertionError, OSError):
        assert not list(cache.glob("kernels/[!.]*"))


def test_repairing_and_pulling_at_once(puller: Puller) -> None:
    puller.pull()
    [bundle] = verified_or_none(puller.cache)
    header = bundle.headers / "include/linux/many7.h"
    header.unlink()
    header.write_text("rotten")
    repairs = [puller.start("cache", "verify", "--repair") for _ in range(3)]
    pulls = [puller.start("pull") for _ in range(3)]
    assert [status for status, *_ in end(pulls)] == [0, 0, 0]
    assert [status for status, *_ in end(repairs)] == [0, 0, 0]
    puller.pull()


def test_neighbours_pruned_while_they_are_shared(puller: Puller, tmp_path: Path) -> None:
    puller.pull()
    root = tmp_path / "other"
    with FakeDevice(root, xz(tar(OTHER)), release="6.1.100-test", build_id=b"x" * 20) as device:
        gate = device.fault = Gate()
        second = puller.start("pull", ANDROID_ADB_SERVER_PORT=str(device.port))
        assert gate.reached.wait(30)
        assert end([puller.start("cache", "prune", "--keep", "0")])[0][0] == 0
        gate.open.set()
        [(status, out, err)] = end([second])
    assert status == 0, err
    [bundle] = verified_or_none(puller.cache)
    assert out == f"{bundle.headers}\n"
    assert bundle.kernel.release == "6.1.100-test"


def test_two_outputs_of_one_name(puller: Puller, tmp_path: Path) -> None:
    output = tmp_path / "headers"
    results = end([puller.start("pull", "--output", str(output)) for _ in range(2)])
    assert sorted(status for status, *_ in results) in ([0, 1], [0, 2])
    for name, data in HEADERS.items():
        assert (output / name).read_bytes() == data
    assert [p.name for p in tmp_path.glob(".*")] == []
