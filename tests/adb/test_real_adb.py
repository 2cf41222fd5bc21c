"""Against the real adb server, private and started by the code under test."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from droidheaders.adb import Attached, Endpoint, Server
from droidheaders.adb._adbutils import adb_path
from droidheaders.errors import DeviceLostError, NoDeviceError, UnsupportedError

from .environment import alone
from .fake_adbd import FakeAdbd


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    alone(monkeypatch, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = Server(Endpoint("127.0.0.1", port))
    server.ensure_running()
    yield server
    subprocess.run([adb_path(), "-P", str(port), "kill-server"], check=False, env=dict(os.environ))


@pytest.fixture
def adbd() -> Iterator[FakeAdbd]:
    with FakeAdbd() as adbd:
        yield adbd


def test_nothing_attached(real: Server) -> None:
    assert real.version() >= 39
    with pytest.raises(NoDeviceError, match="no device is attached"):
        real.select()


def test_connect_and_disconnect_tell_failure(real: Server) -> None:
    with pytest.raises(NoDeviceError, match=r"127\.0\.0\.1:1 cannot be attached"):
        real.connect("127.0.0.1:1")
    with pytest.raises(NoDeviceError, match="no such device"):
        real.disconnect("127.0.0.1:1")


def test_threads_start_one_server(real: Server) -> None:
    subprocess.run([adb_path(), "-P", str(real.endpoint.port), "kill-server"], check=True)
    versions: list[int] = []
    threads = [threading.Thread(target=lambda: versions.append(real.version())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(versions) == 4


def test_shell(real: Server, adbd: FakeAdbd) -> None:
    real.connect(adbd.serial)
    device = real.select()
    assert device.attached == Attached(adbd.serial, "device", device.transport_id, model="Fake")
    result = device.shell("cat; echo out; echo err >&2; exit 3")
    assert (result.stdout, result.stderr, result.status) == (b"out\n", b"err\n", 3)
    assert adbd.stdin == b"\4\0\0\0\0"
    real.disconnect(adbd.serial)
    assert real.devices() == []


def test_missing_service_and_missing_device(real: Server, adbd: FakeAdbd) -> None:
    real.connect(adbd.serial)
    device = real.select()
    with pytest.raises(DeviceLostError, match="was lost while reading /f: it closed"):
        list(device.read_file("/f"))
    real.disconnect(adbd.serial)
    with pytest.raises(DeviceLostError, match=r"was lost while starting a command: .*unplugged"):
        device.shell("true")


def test_v1_only_device(real: Server) -> None:
    with FakeAdbd(features="cmd") as adbd:
        real.connect(adbd.serial)
        with pytest.raises(UnsupportedError, match="does not speak adb's shell v2"):
            real.select().shell("true")
    assert adbd.services == ["shell,v2,raw:true"]


def test_restart_over_tcp_keeps_the_transport_id(real: Server, adbd: FakeAdbd) -> None:
    real.connect(adbd.serial)
    device = real.select()
    before = device.transport_id
    adbd.drop()
    device.wait_for("disconnect", timeout=10)
    device.wait_for("device", timeout=30)
    assert device.transport_id == before
    assert device.shell("echo back").stdout == b"back\n"


def test_server_killed(real: Server, adbd: FakeAdbd) -> None:
    real.connect(adbd.serial)
    device = real.select()
    subprocess.run([adb_path(), "-P", str(real.endpoint.port), "kill-server"], check=True)
    with pytest.raises(DeviceLostError, match=r"the adb server at .* went away"):
        device.shell("true")
