from __future__ import annotations

import socket
from pathlib import Path

import pytest

from droidheaders.adb import Endpoint, Selector, Server, _adbutils
from droidheaders.adb._adbutils import AdbError
from droidheaders.adb.launcher import start_server
from droidheaders.errors import DeviceLostError, DeviceTimeoutError, NoDeviceError

from .fake_server import FakeServer, block, fail, okay, stalls


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def fake_adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An adb that only writes down how it was called."""
    log = tmp_path / "adb.log"
    program = tmp_path / "adb"
    program.write_text(
        f'#!/bin/sh\n{{ echo "argv:$*"; env | grep ADB_SERVER; }} >>{log}\n'
        'if [ "$ADB_FAILS" ]; then echo first; echo "cannot bind" >&2; exit 1; fi\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("ADBUTILS_ADB_PATH", str(program))
    return log


def test_version(server: Server) -> None:
    assert server.version() == 41


def test_select_is_one_query(server: Server, fake: FakeServer) -> None:
    device = server.select()
    assert (device.serial, device.transport_id, device.server) == ("phone1", 7, server)
    assert device.attached.model == "Pixel_6"
    assert fake.requests == ["host:devices-l"]
    assert fake.connections == 1


def test_dribbled_answer(server: Server, fake: FakeServer) -> None:
    fake.on("host:devices-l", lambda peer: peer.dribble(okay(fake.devices)))
    assert [device.serial for device in server.devices()] == ["phone1"]


def test_truncated_list_is_no_list(server: Server, fake: FakeServer) -> None:
    fake.on("host:devices-l", okay(fake.devices)[:-30])
    with pytest.raises(DeviceLostError, match=r"adb server at 127.0.0.1:.* went away"):
        server.devices()


def test_server_closing_without_a_word(server: Server, fake: FakeServer) -> None:
    fake.on("host:devices-l", b"")
    with pytest.raises(DeviceLostError, match="went away while listing devices"):
        server.devices()


def test_stalled_server(fake: FakeServer) -> None:
    fake.on("host:devices-l", stalls(b"OKAY"))
    with pytest.raises(DeviceTimeoutError, match=r"adb server at 127.0.0.1"):
        Server(Endpoint("127.0.0.1", fake.port), timeout=0.1).devices()


def test_not_an_adb_server(server: Server, fake: FakeServer) -> None:
    fake.on("host:version", b"OKAY" + block("zzzz"))
    with pytest.raises(DeviceLostError, match="not adb"):
        server.version()
    fake.on("host:version", b"SSH-2.0-OpenSSH\r\n")
    with pytest.raises(NoDeviceError, match=r"listens at .* is no adb server: it answered b'SSH-'"):
        server.version()


@pytest.mark.parametrize("text", ["connected to h:1", "already connected to h:1"])
def test_connect(server: Server, fake: FakeServer, text: str) -> None:
    fake.on("host:connect:h:1", okay(text))
    server.connect("h:1")
    assert fake.requests == ["host:connect:h:1"]


@pytest.mark.parametrize(
    "text",
    [
        "failed to connect to 'h:1': Connection refused",
        "failed to authenticate to h:1",
        "unable to connect to h:1",
    ],
)
def test_connect_fails_with_okay(server: Server, fake: FakeServer, text: str) -> None:
    fake.on("host:connect:h:1", okay(text))
    with pytest.raises(NoDeviceError, match=f"h:1 cannot be attached: {text}"):
        server.connect("h:1")


def test_disconnect(server: Server, fake: FakeServer) -> None:
    fake.on("host:disconnect:h:1", okay("disconnected h:1"))
    server.disconnect("h:1")
    assert fake.requests == ["host:disconnect:h:1"]


@pytest.mark.parametrize("answer", [okay("error: no such device 'h:1'"), fail("no such device")])
def test_disconnect_fails(server: Server, fake: FakeServer, answer: bytes) -> None:
    fake.on("host:disconnect:h:1", answer)
    with pytest.raises(NoDeviceError, match=r"refused disconnecting h:1: .*no such device"):
        server.disconnect("h:1")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_starts_the_server_that_is_meant(
    fake_adb: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for name in ("ANDROID_ADB_SERVER_ADDRESS", "ANDROID_ADB_SERVER_PORT"):
        monkeypatch.setenv(name, "12345")
    monkeypatch.setenv("ADB_SERVER_SOCKET", "tcp:somewhere:1")
    port = free_port()
    with pytest.raises(NoDeviceError, match=f"{host}:{port} is unreachable"):
        Server(Endpoint(host, port)).devices()
    assert fake_adb.read_text() == f"argv:-P {port} start-server\n"


def test_failing_start_tells_why(fake_adb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADB_FAILS", "1")
    port = free_port()
    with pytest.raises(NoDeviceError, match="did not start: cannot bind") as caught:
        Server(Endpoint("127.0.0.1", port)).ensure_running()
    assert f"-P {port} start-server" in caught.value.hint


def test_adb_that_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADBUTILS_ADB_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(NoDeviceError, match="cannot be run"):
        Server(Endpoint("127.0.0.1", free_port())).devices()


def test_adb_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "adb"
    program.write_text("#!/bin/sh\nexec sleep 30\n")
    program.chmod(0o755)
    monkeypatch.setenv("ADBUTILS_ADB_PATH", str(program))
    with pytest.raises(DeviceTimeoutError, match=r"did not start within 0\.1 seconds"):
        start_server(Endpoint("127.0.0.1", free_port()), timeout=0.1)


def test_no_adb_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise AdbError("No adb exe could be found")

    monkeypatch.setattr(_adbutils, "adb_path", nowhere)
    with pytest.raises(NoDeviceError, match="no adb program") as caught:
        Server(Endpoint("127.0.0.1", free_port())).devices()
    assert "ADBUTILS_ADB_PATH" in caught.value.hint


def test_never_starts_what_it_cannot_start_there(fake_adb: Path) -> None:
    # adb would start one at 127.0.0.1 instead.
    endpoint = Endpoint("127.0.0.2", free_port(), "-H and -P")
    with pytest.raises(NoDeviceError, match=f"{endpoint} is unreachable") as caught:
        Server(endpoint).devices()
    assert "-H and -P" in caught.value.hint
    assert not fake_adb.exists()


def test_starts_nothing_when_one_listens(server: Server, fake_adb: Path) -> None:
    server.ensure_running()
    assert not fake_adb.exists()


def test_starts_nothing_in_the_middle(server: Server, fake: FakeServer, fake_adb: Path) -> None:
    device = server.select()
    fake.kill()
    with pytest.raises(DeviceLostError, match=r"phone1 .* the adb server at .* went away"):
        device.shell("true")
    assert not fake_adb.exists()


def test_unresolvable_server() -> None:
    with pytest.raises(NoDeviceError, match=r"no-such-host\.invalid:5037 is unreachable"):
        Server(Endpoint("no-such-host.invalid", 5037)).devices()


def test_full_backlog_counts_as_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(address)
            with pytest.raises(NoDeviceError, match="unreachable: connecting timed out"):
                Server(Endpoint("127.0.0.1", address[1]), timeout=0.2).devices()
        finally:
            for filler in fillers:
                filler.close()


def test_remote_serial_warns_once(
    server: Server, fake: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.devices = "192.168.1.5:5555 device transport_id:1\nemulator-5554 device transport_id:2\n"
    for _ in range(3):
        server.select(Selector(transport_id=1))
        server.select(Selector(transport_id=2))
    err = capsys.readouterr().err
    assert err.count("warning:") == 1
    assert "192.168.1.5:5555 is reached over the network" in err


def test_remote_server_warns_once(capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(Endpoint("no-such-host.invalid", 5037))
    for _ in range(2):
        with pytest.raises(NoDeviceError):
            server.devices()
    assert capsys.readouterr().err.count("warning:") == 1
