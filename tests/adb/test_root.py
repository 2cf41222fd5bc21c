"""Root, on a fake phone whose shell is the host's sh with the phone's su, id and getprop."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pytest

from droidheaders.adb import Device, NoRootError
from droidheaders.errors import DeviceLostError, UnsupportedError

from .fake_server import FakeServer, Peer, packet

# system/extras/su/su.cpp: WHO [COMMAND...]; -c is taken for a user.
AOSP_SU = """\
case "$1" in ''|*[!0-9]*) echo "su: invalid uid/gid '$1'" >&2; exit 1;; esac
FAKE_UID=$1; export FAKE_UID; shift
exec "$@"
"""
# Magisk: -c COMMAND, or USER and arguments for a shell, of which the first is a script file.
MAGISK_SU = """\
FAKE_UID=0; export FAKE_UID
if [ "$1" = -c ]; then exec sh -c "$2"; fi
shift
exec sh "./$@"
"""
DENYING_SU = "echo 'Permission denied' >&2; exit 13\n"


class Phone:
    """Answers shell v2 by running the script here, and restarts its adbd when asked."""

    def __init__(self, fake: FakeServer, home: Path) -> None:
        self.fake = fake
        self.uid = 2000
        self.debuggable = "1"
        self.root_answer = "restarting adbd as root\n"
        self.keeps_transport_id = False
        self.scripts: list[str] = []
        self.bin = home / "bin"
        self.bin.mkdir()
        self.install("id", 'echo "$FAKE_UID"\n')
        self.install("getprop", 'echo "$FAKE_DEBUGGABLE"\n')
        fake.on("shell,v2,raw:.*", self.shell)
        fake.on("root:", self.root)
        fake.on("unroot:", self.unroot)

    @property
    def services(self) -> list[str]:
        """What adbd itself was asked for."""
        return [request for request in self.fake.requests if request.endswith("root:")]

    def install(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)

    def shell(self, peer: Peer) -> None:
        script = peer.service.removeprefix("shell,v2,raw:")
        self.scripts.append(script)
        peer.send(b"OKAY")
        done = subprocess.run(
            ["sh", "-c", script],
            env={
                "PATH": f"{self.bin}:/usr/bin:/bin",
                "FAKE_UID": str(self.uid),
                "FAKE_DEBUGGABLE": self.debuggable,
            },
            cwd=self.bin.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.stdout:
            peer.send(packet(1, done.stdout))
        if done.stderr:
            peer.send(packet(2, done.stderr))
        peer.send(packet(3, bytes([done.returncode & 255])))

    def root(self, peer: Peer) -> None:
        peer.send(b"OKAY" + self.root_answer.encode())
        if "restarting" in self.root_answer:
            self.restart(0)

    def unroot(self, peer: Peer) -> None:
        if self.uid:
            peer.send(b"OKAYadbd not running as root\n")
            return
        peer.send(b"OKAYrestarting adbd as non root\n")
        self.restart(2000)

    def restart(self, uid: int) -> None:
        """The old adbd lingers, the device goes, and comes back under another transport id."""
        old, before = self.fake.devices, self.fake.devices.rpartition(":")[2]

        def work() -> None:
            time.sleep(0.15)
            self.fake.devices = ""
            time.sleep(0.15)
            self.uid = uid
            now = int(before) + (not self.keeps_transport_id)
            self.fake.devices = old.replace(f":{before}", f":{now}\n")

        threading.Thread(target=work).start()


@pytest.fixture
def phone(fake: FakeServer, tmp_path: Path) -> Phone:
    return Phone(fake, tmp_path)


@pytest.fixture
def device(phone: Phone, device: Device) -> Device:
    return device


NASTY = "printf '%s\\n' \"it's \\\"$((1+1))\\\"\" '$HOME' `echo b`; echo e >&2; id -u; exit 9"


def check_nasty(device: Device, how: str) -> None:
    with device.privileged() as root:
        for _ in range(2):  # once finding out, once knowing
            result = root.shell(NASTY)
            assert result.stdout == b'it\'s "2"\n$HOME\nb\n0\n'
            assert result.stderr == b"e\n"
            assert result.status == 9
            assert root.how == how


def test_already_root(device: Device, phone: Phone) -> None:
    phone.uid = 0
    check_nasty(device, "adbd")
    assert phone.scripts[1] == NASTY


def test_aosp_su(device: Device, phone: Phone) -> None:
    phone.install("su", AOSP_SU)
    check_nasty(device, "su 0")
    assert phone.services == []


def test_magisk_su(device: Device, phone: Phone) -> None:
    phone.install("su", MAGISK_SU)
    check_nasty(device, "su -c")
    assert phone.services == []


@pytest.mark.parametrize("su", [AOSP_SU, MAGISK_SU])
def test_one_round_trip(device: Device, phone: Phone, fake: FakeServer, su: str) -> None:
    phone.install("su", su)
    with device.privileged() as root:
        assert fake.connections == 0
        with root.stream("echo one; echo two") as stream:
            assert b"".join(stream) == b"one\ntwo\n"
            assert stream.status == 0
            assert stream.stderr == b""
    assert fake.connections == 1


@pytest.mark.parametrize("su", [AOSP_SU, MAGISK_SU, None])
def test_a_session_becomes_root_in_its_own_round_trip(
    device: Device, phone: Phone, su: str | None
) -> None:
    if su:
        phone.install("su", su)
    first = 'echo first >>told; echo "as $(id -u)" >>told'
    with device.privileged() as root, root.session(NASTY, first=first) as session:
        said = []
        while session.status is None:
            said += session.read(5.0)
        assert b"".join(one.data for one in said if not one.error) == b'it\'s "2"\n$HOME\nb\n0\n'
        assert b"".join(one.data for one in said if one.error) == b"e\n"
        assert session.status == 9
    told = (phone.bin.parent / "told").read_text()
    assert told.startswith("first\nas 2000\n")
    assert phone.services == ([] if su else ["root:", "unroot:"])
    assert len(phone.scripts) == 1 or not su


def test_how_finds_out_by_itself(device: Device, phone: Phone) -> None:
    phone.install("su", AOSP_SU)
    with device.privileged() as root:
        assert root.how == "su 0"


def test_script_that_says_what_the_wrapper_says(device: Device, phone: Phone) -> None:
    phone.install("su", AOSP_SU)
    with device.privileged() as root:
        result = root.shell("echo '0123456789abcdef none 1' >&2; exit 1")
    assert result.stderr == b"0123456789abcdef none 1\n"
    assert root.how == "su 0"


def test_long_script(device: Device, phone: Phone) -> None:
    phone.install("su", MAGISK_SU)
    lines = "\n".join(f"echo 'line {i}'" for i in range(500))
    with device.privileged() as root:
        assert root.shell(lines).stdout.count(b"line") == 500


@pytest.mark.parametrize("su", [None, DENYING_SU])
def test_adb_root_and_back(device: Device, phone: Phone, su: str | None) -> None:
    if su:
        phone.install("su", su)
    with device.privileged() as root:
        assert root.shell("id -u").stdout == b"0\n"
        assert root.how == "adb root"
        assert device.transport_id == 8
        assert device.shell("id -u").stdout == b"0\n"
        with root.stream("id -u") as stream:
            assert stream.read() == b"0\n"
    assert phone.services == ["root:", "unroot:"]
    assert phone.uid == 2000
    assert device.transport_id == 9
    assert device.shell("id -u").stdout == b"2000\n"


def test_adb_root_over_tcp_keeps_the_transport_id(device: Device, phone: Phone) -> None:
    phone.keeps_transport_id = True
    with device.privileged() as root:
        assert root.shell("id -u").stdout == b"0\n"
        assert device.transport_id == 7
    assert phone.uid == 2000
    assert phone.services == ["root:", "unroot:"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_put_back_when_the_body_raises(
    device: Device, phone: Phone, error: type[BaseException]
) -> None:
    def body() -> None:
        with device.privileged() as root:
            root.shell("true")
            raise error

    with pytest.raises(error):
        body()
    assert phone.services == ["root:", "unroot:"]
    assert phone.uid == 2000


def test_put_back_when_interrupted_during_the_restart(
    device: Device, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = device.wait_for, iter([KeyboardInterrupt()])

    def wait_for(state: str = "device", timeout: float = 60.0) -> None:
        for interrupt in calls:
            raise interrupt
        real(state, timeout)

    monkeypatch.setattr(device, "wait_for", wait_for)
    with pytest.raises(KeyboardInterrupt), device.privileged() as root:
        root.shell("true")
    assert phone.services == ["root:", "unroot:"]
    assert phone.uid == 2000


def test_nothing_is_put_back_that_was_not_taken(device: Device, phone: Phone) -> None:
    phone.install("su", AOSP_SU)
    with device.privileged() as root:
        root.shell("true")
    with device.privileged():
        pass
    assert phone.services == []


def test_already_running_as_root(device: Device, phone: Phone) -> None:
    phone.root_answer = "adbd is already running as root\n"
    with device.privileged() as root:
        root.shell("true")
        assert root.how == "adbd"
    assert phone.services == ["root:"]


def test_silence_counts_as_a_restart(device: Device, phone: Phone) -> None:
    phone.root_answer = ""
    phone.restart(0)
    with device.privileged() as root:
        assert root.shell("id -u").stdout == b"0\n"
    assert phone.services[-1] == "unroot:"


def test_production_build_refuses(device: Device, phone: Phone) -> None:
    phone.root_answer = "adbd cannot run as root in production builds\n"
    with (
        pytest.raises(NoRootError, match=r"phone1 .*cannot run as root in production") as caught,
        device.privileged() as root,
    ):
        root.shell("true")
    assert phone.services == ["root:"]
    assert caught.value.exit_code == 5
    assert caught.value.kind == "no-root"
    assert isinstance(caught.value, UnsupportedError)


def test_not_debuggable_is_not_asked(device: Device, phone: Phone) -> None:
    phone.debuggable = "0"
    with pytest.raises(NoRootError, match=r"phone1 .*su.*adb root"), device.privileged() as root:
        root.stream("true")
    assert phone.services == []


def test_device_that_does_not_come_back(
    device: Device,
    phone: Phone,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("droidheaders.adb.root._RESTART_TIMEOUT", 0.3)

    def vanish(uid: int) -> None:
        phone.fake.devices = ""

    monkeypatch.setattr(phone, "restart", vanish)
    with pytest.raises(DeviceLostError, match="phone1"), device.privileged() as root:
        root.shell("true")
    err = capsys.readouterr().err
    assert "phone1 may still run adbd as root" in err
    assert "adb -s phone1 unroot" in err


def test_threads_find_out_once(device: Device, phone: Phone) -> None:
    got: list[bytes] = []
    with device.privileged() as root:

        def work() -> None:
            got.append(root.shell("id -u").stdout)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == [b"0\n"] * 4
    assert phone.services == ["root:", "unroot:"]
