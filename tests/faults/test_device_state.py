"""The device as it was found: after every end that a run may come to, or by the next run there.

Real scripts run in a real sh; only the kernel's part (insmod, rmmod, who is root) is made up.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adb.fake_server import Peer
from tests.archives import GOOD, tar, xz
from tests.fake_device import FakeDevice
from tests.faults.invariant import snapshot
from tests.faults.puller import Puller

MANY = {f"include/linux/many{n}.h": os.urandom(3000) for n in range(100)}
ARCHIVE = xz(tar({**GOOD, **MANY}))
# A kheaders.ko that only the kernel can read, so that it must be loaded.
CLOSED = b"\x28\xb5\x2f\xfd" + bytes(70_000)
CRASHING = "tests.faults.crashing"
STATUS = {"SIGKILL": -9, "SIGINT": 130, "SIGTERM": 143}
SOME_MODULE = "sys/module/kheaders/refcnt"


@dataclass
class Bench:
    """A device whose kheaders must be loaded, and a command line that finds it."""

    device: FakeDevice
    puller: Puller
    journal: Path

    def entries(self) -> list[dict[str, str]]:
        """Return what the journal holds."""
        return [json.loads(path.read_bytes()) for path in self.journal.glob("*.json")]

    def run(self, *arguments: str, module: str = "droidheaders") -> tuple[int, str]:
        """Run a command; return its status and what it said."""
        with self.puller.start(*arguments, module=module) as process:
            _, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        return process.returncode, err

    def crash(self, point: str, fault: str) -> None:
        """Pull, and have a signal come at a point."""
        status, err = self.run(point, fault, "1", "pull", module=CRASHING)
        assert status == STATUS[fault], err

    def die(self) -> None:
        """Pull, and be killed in the middle, with the device's own script killed too."""

        def stall(device: FakeDevice, peer: Peer, sent: int) -> None:
            if sent > 100_000:
                peer.hold()
                raise EOFError

        self.device.abrupt, self.device.fault = True, stall
        self.crash("header written", "SIGKILL")
        eventually(lambda: not self.device.running)
        self.device.abrupt, self.device.fault = False, None

    def finish(self) -> None:
        """Pull once more with nothing in the way: afterwards everything is as it was found."""
        self.puller.pull()
        assert self.entries() == []
        assert not [p for p in self.journal.iterdir() if p.suffix != ".json"]
        assert self.device.uid == 2000


@contextmanager
def bench(home: Path, *, su: bool = True, module: bytes = CLOSED) -> Iterator[Bench]:
    with FakeDevice(home / "device", ARCHIVE, module=module, su=su) as device:
        puller = Puller(device, home, {**GOOD, **MANY})
        yield Bench(device, puller, home / "state/journal")


@pytest.fixture
def su(tmp_path: Path) -> Iterator[Bench]:
    """A device whose root is had by su, and the module must be loaded."""
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def adb_root(tmp_path: Path) -> Iterator[Bench]:
    """A device whose root is had by `adb root` alone, and the module's file can be read."""
    with bench(tmp_path, su=False) as made:
        yield made


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what a device does by itself after its host has left."""
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# What ends like Ctrl-C is tried where it costs nobody time.
SIGNALS = ["SIGKILL", "SIGINT", pytest.param("SIGTERM", marks=pytest.mark.full)]
POINTS = [
    "change to be written",
    "change written",
    "archive opened",
    "header written",
    "change to be struck out",
]


@pytest.mark.parametrize("fault", SIGNALS)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("abrupt", [False, True], ids=["", "no trap runs"])
def test_a_module_is_unloaded(su: Bench, point: str, fault: str, abrupt: bool) -> None:
    su.device.abrupt = abrupt
    su.crash(point, fault)
    if not abrupt or fault != "SIGKILL":
        eventually(lambda: not su.device.module_loaded)
    if fault != "SIGKILL":
        assert su.entries() == []
    su.finish()


def test_the_next_run_unloads_what_a_killed_one_loaded(su: Bench) -> None:
    su.die()
    assert (su.device.module_loaded, [e["kind"] for e in su.entries()]) == (True, ["module"])
    status, err = su.run("pull")
    assert status == 0, err
    assert "an earlier run was cut off: unloaded kheaders" in err
    assert (su.device.module_loaded, su.entries()) == (False, [])
    su.finish()


@pytest.mark.parametrize("fault", SIGNALS)
@pytest.mark.parametrize("point", POINTS)
def test_adbd_is_put_back(adb_root: Bench, point: str, fault: str) -> None:
    adb_root.crash(point, fault)
    if fault != "SIGKILL":
        assert adb_root.device.uid == 2000
        assert adb_root.entries() == []
    adb_root.finish()


def test_the_next_run_takes_back_the_root_of_a_killed_one(adb_root: Bench) -> None:
    adb_root.die()
    assert adb_root.device.uid == 0
    assert {entry["kind"] for entry in adb_root.entries()} >= {"adb-root"}
    status, err = adb_root.run("pull")
    assert status == 0, err
    assert "an earlier run was cut off: adbd runs as the shell's user again" in err
    adb_root.finish()


def test_root_that_was_there_stays(adb_root: Bench) -> None:
    adb_root.device.run_adbd_as(0)
    assert adb_root.run("pull")[0] == 0
    assert adb_root.device.uid == 0
    assert adb_root.entries() == []
    assert "unroot:" not in adb_root.device.requests


def test_a_module_that_was_there_stays(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        made.device.write("sys/kernel/kheaders.tar.xz", ARCHIVE)
        made.device.write(SOME_MODULE, b"0\n")
        before = snapshot(made.device.root)
        assert made.run("pull")[0] == 0
        assert snapshot(made.device.root) == before
        assert made.entries() == []


def test_two_that_need_root_at_once_leave_none_behind(adb_root: Bench, tmp_path: Path) -> None:
    """Whoever leaves last takes it back, and nobody takes it from under the other."""
    processes = [
        adb_root.puller.start("pull", DROIDHEADERS_CACHE=str(tmp_path / f"cache{n}"))
        for n in range(3)
    ]
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert adb_root.device.uid == 2000
    assert adb_root.entries() == []
    adb_root.finish()


def test_a_reboot_settles_modules_and_root(su: Bench) -> None:
    su.die()
    # After the reboot somebody loads it, and keeps it.
    su.device.write("proc/sys/kernel/random/boot_id", b"11111111-1111-1111-1111-111111111111\n")
    status, err = su.run("pull")
    assert (status, "cut off" in err) == (0, False)
    assert su.device.module_loaded
    assert su.entries() == []


def test_a_module_that_will_not_go_is_told_and_tried_again(su: Bench) -> None:
    rmmod = (su.device.root / "bin/rmmod").read_bytes()
    su.device.tool("rmmod", "echo 'rmmod: failed to unload kheaders: Try again' >&2; exit 1")
    status, err = su.run("pull")
    assert (status, "could not unload the kheaders module" in err) == (5, True)
    assert [entry["kind"] for entry in su.entries()] == ["module"]
    status, err = su.run("pull", "--refresh")
    assert "is still so: device fake-1 could not unload kheaders" in err
    su.device.write("bin/rmmod", rmmod)
    assert su.run("pull")[0] == 0
    assert (su.device.module_loaded, su.entries()) == (False, [])


def test_nothing_is_changed_that_cannot_be_written_down(su: Bench) -> None:
    su.journal.parent.mkdir()
    su.journal.write_text("no directory")
    status, err = su.run("pull")
    assert status == 1
    assert "was left as it is: what is changed there must first be written to" in err
    assert su.device.log == []
    su.journal.unlink()
    su.finish()


def test_a_journal_that_others_may_write_is_not_followed(su: Bench) -> None:
    su.journal.mkdir(parents=True)
    su.journal.chmod(0o777)
    status, err = su.run("pull")
    assert (status, "others can write to" in err) == (1, True)
    assert su.device.log == []
    su.journal.chmod(0o700)
    su.finish()


def test_nothing_is_changed_on_a_device_without_a_boot_id(su: Bench) -> None:
    boot_id = su.device.root / "proc/sys/kernel/random/boot_id"
    kept = boot_id.rename(boot_id.with_name("kept"))
    boot_id.write_bytes(b"$(reboot)\x1b[31m\n")
    status, err = su.run("pull")
    assert (status, "does not tell its boot id" in err) == (4, True)
    assert su.device.log == []
    kept.rename(boot_id)
    su.finish()


GOOD_ENTRY = {
    "schema": 1,
    "serial": "fake-1",
    "kind": "module",
    "what": "kheaders",
    "boot_id": "01234567-89ab-cdef-0123-456789abcdef",
}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"kind": "file", "what": "/data/local/tmp/../../system"}, id="path"),
        pytest.param({"kind": "file", "what": "/data/local/tmp/mine"}, id="not ours"),
        pytest.param({"what": "a; reboot"}, id="shell"),
        pytest.param({"what": "../x"}, id="module"),
        pytest.param({"kind": "reboot"}, id="kind"),
        pytest.param({"boot_id": "x"}, id="boot id"),
        pytest.param({"serial": "other"}, id="of another device"),
        pytest.param({"what": ["kheaders"]}, id="type"),
        pytest.param({"schema": 2}, id="schema"),
    ],
)
def test_an_entry_that_is_none_of_ours_is_told_and_left(su: Bench, wrong: dict[str, str]) -> None:
    su.journal.mkdir(parents=True, mode=0o700)
    entry = su.journal / "fake-1@00000000.json"
    entry.write_text(json.dumps(GOOD_ENTRY | wrong))
    su.device.write(SOME_MODULE, b"0\n")
    su.device.write("sys/kernel/kheaders.tar.xz", ARCHIVE)
    before = snapshot(su.device.root)
    status, err = su.run("pull")
    assert status == 0
    assert "is no entry of the journal that can be followed" in err
    assert snapshot(su.device.root) == before
    assert entry.exists()


def test_what_a_living_run_changed_is_waited_for(su: Bench, tmp_path: Path) -> None:
    """While one is held up in the middle, another neither reads what it loaded nor unloads it."""
    go_on, held_up = threading.Event(), threading.Event()

    def stall(device: FakeDevice, peer: Peer, sent: int) -> None:
        if sent > 100_000 and not held_up.is_set():
            held_up.set()
            assert go_on.wait(30)

    su.device.fault = stall
    with su.puller.start("pull") as first:
        assert held_up.wait(30)
        with su.puller.start("pull", DROIDHEADERS_CACHE=str(tmp_path / "other")) as second:
            assert second.stderr is not None
            assert "waiting for another pull to unload" in second.stderr.readline()
            assert (su.device.module_loaded, len(su.entries())) == (True, 1)
            go_on.set()
            second.communicate(timeout=60)
        first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert [line.split()[0] for line in su.device.log] == ["insmod", "rmmod"] * 2
    su.finish()
