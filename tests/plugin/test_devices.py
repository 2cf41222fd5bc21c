"""Which guest a test gets, what becomes of it, and that none is left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from droidheaders.guest import instance, process
from droidheaders.guest.guest import Guest
from tests.plugin.conftest import Inner, failure

pytestmark = pytest.mark.guest

CRASHING = """
import pytest

CRASH = "echo c >/proc/sysrq-trigger"
seen = []

def root(device, script):
    with device.privileged() as root:
        return root.shell(script)

@pytest.fixture(scope="module")
def release(android_device):
    return android_device.shell("uname -r").stdout

def test_first(android_device, release):
    seen.append(android_device.serial)
    assert android_device.shell("touch /data/local/tmp/mark").status == 0

def test_again(android_device):
    assert android_device.serial == seen[0]
    assert android_device.shell("ls /data/local/tmp").stdout == b"mark\\n"

def test_crash(android_device):
    root(android_device, CRASH)

def test_after(android_device, release):
    assert android_device.shell("uname -r; ls /data/local/tmp").stdout == release
    assert android_device.serial not in seen

def test_crash_that_nobody_sees(android_device):
    with android_device.privileged() as root, pytest.raises(Exception):
        root.shell(CRASH)

def test_crash_that_is_meant(android_device, kernel_log):
    kernel_log.allow(kind="panic")
    with pytest.raises(Exception, match="was lost"):
        root(android_device, CRASH)

def test_crash_of_a_fresh_one(fresh_device, android_device):
    assert android_device.shell("echo here").stdout == b"here\\n"
    root(fresh_device, CRASH)

def test_switched_off(android_device):
    with pytest.raises(Exception, match="was lost"):
        root(android_device, "echo o >/proc/sysrq-trigger; sleep 9")

def test_at_last(android_device, fresh_device):
    serials = {android_device.serial, fresh_device.serial}
    assert len(serials) == 2
    assert android_device.shell("echo here").stdout == b"here\\n"

def test_no_device():
    pass
"""
PANIC = "panicked: Kernel panic - not syncing: sysrq triggered crash"


@pytest.mark.parametrize("recipe", ["6.1-arm64", "6.1-x86_64"])
def test_a_crash_fails_its_test_and_no_other(inner: Inner, recipe: str) -> None:
    result = inner.run("--droid-target", recipe, test_it=CRASHING)
    result.assert_outcomes(passed=7, failed=3)
    for test in ("test_crash", "test_crash_that_nobody_sees", "test_crash_of_a_fresh_one"):
        said = failure(result, test)
        assert PANIC in said
        assert "Captured console of 127.0.0.1:" in said
        assert "sysrq" in said.partition("Captured console")[2]
    lines = [line.strip() for line in failure(result, "test_crash").splitlines()]
    assert "> root(android_device, CRASH)" in [" ".join(line.split()) for line in lines]
    assert "adb/_errors.py" not in failure(result, "test_crash")  # nor how our code got there
    assert inner.is_as_found()


FRESH = """
serials = set()

def use(device):
    assert device.shell("ls /data/local/tmp; touch /data/local/tmp/mark").stdout == b""
    serials.add(device.serial)

def test_one(android_device): use(android_device)
def test_two(android_device): use(android_device)
def test_three(fresh_device): use(fresh_device)
def test_four(fresh_device, kernel_log):
    use(fresh_device)
    assert kernel_log.device is fresh_device
"""


def test_each_test_has_its_own_when_asked_to(inner: Inner) -> None:
    inner.run("--droid-fresh", test_it=FRESH).assert_outcomes(passed=4)
    result = inner.run(test_it=FRESH)
    result.assert_outcomes(passed=3, failed=1)
    assert "mark" in failure(result, "test_two")
    assert inner.is_as_found()


NAMED = """
import os

def test_it(android_device, kernel_log):
    assert android_device.serial == os.environ["EXPECTED"]

def test_fresh(fresh_device):
    pass
"""


def test_a_device_that_is_named_is_taken_and_left(
    inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Guest.fresh(server=inner.server) as guest:
        monkeypatch.setenv("EXPECTED", guest.serial)
        inner.run("--droid-serial", guest.serial, test_it=NAMED).assert_outcomes(
            passed=1, skipped=1
        )
        monkeypatch.setenv("ANDROID_SERIAL", guest.serial)
        inner.run("test_it.py").assert_outcomes(passed=1, skipped=1)
        other = inner.run("--droid-target", "6.1-arm64", "test_it.py")
        other.assert_outcomes(passed=1, failed=1)  # one of its own
        assert guest.instance.alive


SHARED = """
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(android_device, number):
    assert android_device.shell("echo here").stdout == b"here\\n"
    seen = f"{os.environ['PYTEST_XDIST_WORKER']} {android_device.serial}\\n"
    with Path("seen").open("a") as file:
        file.write(seen)

@pytest.mark.parametrize("number", range(2))
def test_crash(android_device, number):
    with android_device.privileged() as root:
        root.shell("echo c >/proc/sysrq-trigger")
"""


def test_every_worker_of_xdist_has_a_guest(inner: Inner) -> None:
    result = inner.run("-n", "2", "-k", "test_it", test_shared=SHARED)
    result.assert_outcomes(passed=6)
    seen = set((inner.pytester.path / "seen").read_text().splitlines())
    assert len(seen) == len({line.split()[0] for line in seen}) == 2
    assert len({line.split()[1] for line in seen}) == 2
    assert inner.is_as_found()
    result = inner.run("-n", "2", "--dist", "each")
    result.assert_outcomes(passed=12, failed=4)
    assert result.stdout.str().count(PANIC) >= 4
    assert inner.is_as_found()


WAITING = """
import os, time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

def test_it(android_device):
    Path(f"here-{os.getpid()}").touch()
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGINT, []),
        (signal.SIGTERM, []),
        (signal.SIGHUP, []),
        (signal.SIGKILL, ["-n", "2", "--dist", "each"]),
    ],
)
def test_no_guest_outlives_its_session(inner: Inner, number: int, words: list[str]) -> None:
    with inner.start(*words, test_it=WAITING) as session:
        try:
            _await(lambda: len(_started(inner.pytester.path)) == (2 if words else 1))
            started = instance.instances()
            session.send_signal(number)
            _await(lambda: instance.instances() == [])
        finally:
            session.kill()
            for pid in _started(inner.pytester.path) if words else ():
                _end(pid)
    assert len(started) == (2 if words else 1)
    assert not any(process.is_alive(one.pid, one.started) for one in started)
    assert inner.is_as_found()


def _started(place: Path) -> list[int]:
    return [int(path.name.rpartition("-")[2]) for path in place.glob("here-*")]


def _await(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
