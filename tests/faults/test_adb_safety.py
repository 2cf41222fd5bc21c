"""What a command asks of adb, and of whom: nothing that opens a device or a host to others.

No `adb -a`, no tcpip:, no reverse:, no remount:, and no server that is ended.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from droidheaders.adb._adbutils import adb_path
from tests.adb.environment import alone
from tests.adb.fake_server import FakeServer, Peer
from tests.archives import tar, xz
from tests.fake_device import FakeDevice
from tests.faults.command import Command

ARCHIVE = xz(tar())
OPAQUE = b"\x28\xb5\x2f\xfd" + bytes(9000)  # a kheaders.ko that has to be loaded
LISTED = "{} device product:p model:Fake device:d transport_id:{}\n"
FARM = "farm.example"


@pytest.fixture
def device(tmp_path: Path) -> Iterator[FakeDevice]:
    with FakeDevice(tmp_path / "device", ARCHIVE) as device:
        yield device


@pytest.fixture
def adb_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an adb in place that only writes down how it was called."""
    log, program = tmp_path / "adb.log", tmp_path / "adb"
    program.write_text(f'#!/bin/sh\necho "$*" >>{log}\n')
    program.chmod(0o755)
    monkeypatch.setenv("ADBUTILS_ADB_PATH", str(program))
    return log


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("module", [None, OPAQUE], ids=["read", "loaded"])
@pytest.mark.parametrize("arguments", ["pull", "pull --refresh", "pull --all", "devices"])
def test_no_service_but_these(
    tmp_path: Path, command: Command, adb_log: Path, arguments: str, module: bytes | None
) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE, module=module) as device:
        command.pulls(device)
        assert command.run(device, *arguments.split()).status == 0
    services = {r for r in device.requests if not r.startswith("shell,v2,raw:")}
    assert services == {"host:devices-l"}
    assert set(device.transports) == {"host:transport-id:3"}
    for script in device.scripts:
        for word in ("mount", "verity", "setenforce", "setprop", "reboot", "tcpip", "svc "):
            assert word not in script
    assert not adb_log.exists()


# A server on another machine: simulated by a name that leads here, as nobody can know.

BY: dict[str, Callable[[int], tuple[list[str], dict[str, str]]]] = {
    "-H": lambda port: (["-H", FARM], {}),
    "-L": lambda port: (["-L", f"tcp:{FARM}:{port}"], {}),
    "ADB_SERVER_SOCKET": lambda port: ([], {"ADB_SERVER_SOCKET": f"tcp:{FARM}:{port}"}),
    "ANDROID_ADB_SERVER_ADDRESS": lambda port: ([], {"ANDROID_ADB_SERVER_ADDRESS": FARM}),
}


@pytest.fixture
def farm(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def resolve(host: str, *rest: Any, **named: Any) -> Any:
        return real("127.0.0.1" if host == FARM else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.usefixtures("farm")
@pytest.mark.parametrize("by", BY)
def test_a_server_elsewhere_is_warned_of_once(
    device: FakeDevice, command: Command, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    options, environment = BY[by](device.port)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ended = command.run(device, *options, "pull")
    assert ended.status == 0
    assert (
        ended.err.count(f"warning: the adb server at {FARM}:{device.port} is another machine") == 1
    )
    assert device.connections > 2


@pytest.mark.usefixtures("farm")
@pytest.mark.parametrize("host", [FARM, "127.0.0.2"])
def test_no_server_is_started_elsewhere(
    device: FakeDevice, command: Command, adb_log: Path, host: str
) -> None:
    """Where adb would start one, it would not be the one that is meant."""
    port = free_port()
    err = command.fails(device, 3, "-H", host, "-P", str(port), "pull")
    assert f"{host}:{port} is unreachable: Connection refused" in err
    assert not adb_log.exists()
    command.pulls(device)


@pytest.mark.parametrize("arguments", ["pull", "pull --all", "devices"])
@pytest.mark.parametrize(
    ("serial", "warned"),
    [
        ("192.0.2.7:5555", True),
        ("phone.example:5555", True),
        ("[2001:db8::7]:5555", True),
        ("127.0.0.1:5555", False),
        ("[::1]:5555", False),
        ("localhost:5555", False),
        ("emulator-5554", False),
    ],
)
def test_a_device_elsewhere_is_warned_of_once(
    device: FakeDevice, command: Command, serial: str, warned: bool, arguments: str
) -> None:
    device.devices = LISTED.format(serial, 3)
    ended = command.run(device, *arguments.split())
    assert ended.status == 0
    assert ended.err.count(f"warning: device {serial} is reached over the network") == warned
    assert ended.err.count("over the network") == warned


# Whoever listens at the server's port and is no adb.


class Foreign(FakeServer):
    """Sends this to everybody, and hangs up where it `leaves`."""

    def __init__(self, says: bytes, leaves: bool = False) -> None:
        super().__init__()
        self._says, self._leaves = says, leaves

    def _answer(self, peer: Peer) -> None:
        if not self._leaves:
            peer.request()
        peer.send(self._says)
        if not self._leaves:
            peer.hold()


@pytest.mark.parametrize(
    ("foreign", "status", "says"),
    [
        pytest.param(
            lambda: Foreign(b"HTTP/1.1 400 Bad Request\r\n\r\n"), 3, "is no adb server", id="http"
        ),
        pytest.param(lambda: Foreign(b"SSH-2.0-OpenSSH_9.2\r\n"), 3, "is no adb server", id="ssh"),
        pytest.param(
            lambda: Foreign(b"\x1b[2J\x1b]0;x\x07"), 3, "is no adb server", id="escape sequences"
        ),
        pytest.param(lambda: Foreign(b"OKAY\x1b[2J"), 6, "not adb", id="nearly adb"),
        pytest.param(lambda: Foreign(b""), 6, "did not answer in time", id="silent"),
        pytest.param(lambda: Foreign(b"", leaves=True), 6, "went away", id="hangs up"),
    ],
)
@pytest.mark.parametrize("arguments", ["pull", "devices"])
def test_a_foreign_process_is_told_and_left_alone(
    device: FakeDevice,
    command: Command,
    adb_log: Path,
    arguments: str,
    foreign: Callable[[], Foreign],
    status: int,
    says: str,
) -> None:
    with foreign() as there:
        port = str(there.port)
        err = command.fails(device, status, "-P", port, "--timeout", "0.5", arguments)
        assert says in err
        assert f"127.0.0.1:{port}" in err
        socket.create_connection(("127.0.0.1", there.port), 5).close()
    assert not adb_log.exists()
    command.pulls(device)


def test_a_server_is_started_for_this_machine_alone(
    device: FakeDevice, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real one, at the port that is meant; and it stays, as adb's own would."""
    alone(monkeypatch, tmp_path)
    log, program = tmp_path / "adb.log", tmp_path / "adb"
    program.write_text(f'#!/bin/sh\necho "$*" >>{log}\nexec {adb_path()} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("ADBUTILS_ADB_PATH", str(program))
    port = free_port()
    try:
        ended = command.run(device, "-P", str(port), "devices")
        assert ended.status == 0, ended.err
        assert log.read_text() == f"-P {port} start-server\n"
        assert listeners(port) == {"0100007F"}  # 127.0.0.1, and no other address of any family
        assert device.requests == []
    finally:
        subprocess.run([program, "-P", str(port), "kill-server"], check=False)


def listeners(port: int) -> set[str]:
    """Return the addresses that are listened at, as proc_net_tcp(5) writes them."""
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path("/proc/net", table).read_text().splitlines()[1:]
    ]
    at = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {address for address, at_port in at if int(at_port, 16) == port}


@pytest.mark.parametrize("arguments", ["pull", "devices"])
@pytest.mark.parametrize("value", ["nonsense", "0", "65536", "²", "5037;reboot", "tcp:5037"])
def test_a_port_that_is_none(
    device: FakeDevice,
    command: Command,
    adb_log: Path,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    arguments: str,
) -> None:
    def during() -> AbstractContextManager[None]:
        return with_port(monkeypatch, value)

    command.during = during
    err = command.fails(device, 2, arguments)
    assert (
        f"ANDROID_ADB_SERVER_PORT must hold a port between 1 and 65535, and holds {value!r}" in err
    )
    assert device.connections == 0
    assert not adb_log.exists()
    assert command.run(device, "-P", str(device.port), arguments).status == 0


@contextmanager
def with_port(monkeypatch: pytest.MonkeyPatch, value: str) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("ANDROID_ADB_SERVER_PORT", value)
        yield
