"""Real guests: started, failing to start, interrupted, killed, and what is left of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from droidheaders.adb import Selector, Server
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.guest import image, instance, process, qemu, recipes
from droidheaders.guest.boot import StartError, StartTimeoutError
from droidheaders.guest.guest import Guest, stop

pytestmark = pytest.mark.guest

ARM = "6.1-arm64"


@pytest.fixture(scope="module", autouse=True)
def built() -> image.Image:
    """The image of the default recipe; the first time, this fetches it."""
    return image.setup(recipes.load(ARM))


def wait_for(what: Callable[[], instance.Instance | None]) -> instance.Instance:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.01)
    raise AssertionError("nothing was started")


def with_machine(name: str) -> instance.Instance | None:
    found = instance.read(name)
    return found if found and found.port else None


def nothing_is_left(state: Path, started: instance.Instance, adb: Server) -> bool:
    assert not process.is_alive(started.pid, started.started)
    assert instance.instances() == []
    assert not (state / started.name).exists()
    assert adb.devices() == []
    return True


def test_a_guest_runs_what_its_recipe_says(state: Path, adb: Server, built: image.Image) -> None:
    with Guest.start(ARM, server=adb) as guest:
        device = adb.select(Selector(serial=guest.serial))
        said = device.shell("uname -r; test -e /proc/config.gz; echo $?").stdout.decode()
        assert said.split() == [built.release, "0"]
        assert instance.find(guest.serial).state == "running"
        assert os.getsid(guest.instance.pid) == guest.instance.pid  # no terminal reaches it
    assert nothing_is_left(state, guest.instance, adb)
    assert not (state / "failed").exists()


def test_ones_own_kernel_gets_its_modules_and_files(
    state: Path, adb: Server, built: image.Image, tmp_path: Path
) -> None:
    tree = tmp_path / built.release
    tree.mkdir()
    subprocess.run(
        ["cpio", "-id", "--quiet"], input=built.parts[1].read_bytes(), cwd=tree, check=True
    )
    (tree / "boot-modules").rename(tree / "kernel")
    extra = tmp_path / "extra"
    (extra / "system/etc").mkdir(parents=True)
    (extra / "system/etc/mine").write_text("here")
    make = partial(image.custom, built.kernel, recipes.load(ARM), modules_dir=tree, extra=extra)
    with Guest.start(ARM, persona="root", server=adb, make=make) as guest:
        device = adb.select(Selector(serial=guest.serial))
        dlkm = f"/system_dlkm/lib/modules/{built.release}/kernel"
        script = f"cat /system/etc/mine; echo; ls {dlkm}/virtio_net.ko; cut -d' ' -f1 /proc/modules"
        words = device.shell(script).stdout.decode().split()
        assert words[:2] == ["here", f"{dlkm}/virtio_net.ko"]
        assert {"virtio_net", "virtio_pci"} <= set(words[2:])
    assert nothing_is_left(state, guest.instance, adb)


# QEMU knows a bzImage when it sees one, and ends; an arm64 Image may be anything, and is run.
@pytest.mark.parametrize(
    ("recipe", "timeout", "error"),
    [("6.1-x86_64", 20.0, StartError), (ARM, 1.0, StartTimeoutError)],
)
def test_a_bad_kernel_fails_at_its_banner(
    state: Path, adb: Server, tmp_path: Path, recipe: str, timeout: float, error: type[StartError]
) -> None:
    bad = tmp_path / "zImage"
    bad.write_bytes(b"not a kernel " * 1000)
    begun = time.monotonic()
    with pytest.raises(error, match="did not get to 'kernel banner'") as caught:
        Guest.start(
            recipe,
            server=adb,
            timeout=timeout,
            make=lambda into: image.custom(bad, recipes.load(recipe), into),
        )
    assert time.monotonic() - begun < 15
    [kept] = (state / "failed").iterdir()
    assert str(kept) in caught.value.message
    assert instance.instances() == []
    assert adb.devices() == []


def test_a_kernel_that_is_not_there_is_a_mistake(state: Path, adb: Server) -> None:
    with pytest.raises(UsageError, match="no kernel image /nowhere"):
        Guest.start(
            ARM,
            server=adb,
            make=lambda into: image.custom(Path("/nowhere"), recipes.load(ARM), into),
        )
    assert instance.instances() == []


def test_a_machine_that_dies_is_noticed_at_once(state: Path, adb: Server) -> None:
    killed: list[float] = []

    def kill() -> None:
        victim = wait_for(lambda: with_machine(ARM))
        time.sleep(0.3)
        killed.append(time.monotonic())
        os.kill(victim.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(StartError, match="QEMU was ended by signal 9") as caught:
        Guest.start(ARM, server=adb)
    assert time.monotonic() - killed[0] < 2
    killer.join()
    assert caught.value.stage in {"kernel banner", "init"}
    assert instance.instances() == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_start_leaves_nothing(
    state: Path, adb: Server, number: signal.Signals, status: int
) -> None:
    command = [sys.executable, "-m", "droidheaders", "-P", str(adb.endpoint.port)]
    with subprocess.Popen(
        [*command, "emulator", "start", ARM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as cli:
        started = wait_for(lambda: with_machine(ARM))
        cli.send_signal(number)
        out, err = cli.communicate(timeout=20)
    assert (cli.returncode, out) == (status, b""), err.decode()
    assert nothing_is_left(state, started, adb)


def test_a_guest_outlives_its_command_and_goes_stale(state: Path, adb: Server) -> None:
    command = [sys.executable, "-m", "droidheaders", "-P", str(adb.endpoint.port), "emulator"]
    run = partial(subprocess.run, capture_output=True, text=True, check=True)
    done = run([*command, "start", ARM])
    one = instance.find(ARM)
    assert done.stdout == f"{one.serial}\n"
    assert [(d.serial, d.state) for d in adb.devices()] == [(one.serial, "device")]
    assert "running" in run([*command, "list"]).stdout
    os.kill(one.pid, signal.SIGKILL)
    assert process.wait_gone(one.pid, one.started, 5)
    assert "stale" in run([*command, "list"]).stdout
    assert "droidheaders: adbd" in run([*command, "console", ARM]).stdout
    stop(instance.find(ARM))
    assert nothing_is_left(state, one, adb)


def test_the_console_of_a_guest_that_panicked_is_kept(
    state: Path, adb: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with Guest.start(ARM, persona="su", server=adb) as guest:
        device = adb.select(Selector(serial=guest.serial))
        with device.privileged() as root, pytest.raises(DroidheadersError):
            root.shell("echo c >/proc/sysrq-trigger", timeout=10)
        assert process.wait_gone(guest.instance.pid, guest.instance.started, 10)
    assert "ended by itself: Kernel panic - not syncing: sysrq triggered crash" in (
        capsys.readouterr().err
    )
    [kept] = state.glob("failed/*.log")
    assert "sysrq: Trigger a crash" in kept.read_text()
    assert nothing_is_left(state, guest.instance, adb)


def test_a_port_that_was_taken_since_is_replaced(
    state: Path, adb: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = qemu.free_port()
        ports = [free, taken.getsockname()[1]]
        monkeypatch.setattr(qemu, "free_port", lambda: ports.pop() if ports[1:] else free)
        with Guest.start("6.1-x86_64", persona="user", server=adb) as guest:
            assert guest.instance.port == free
    assert nothing_is_left(state, guest.instance, adb)
