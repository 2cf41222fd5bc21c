from __future__ import annotations

import io
import socket
import stat
import struct
from pathlib import Path

import pytest

from droidheaders.adb import Device
from droidheaders.errors import DeviceLostError, DeviceTimeoutError, DroidheadersError

from .fake_server import FakeServer, Handler, Peer


def sync_packet(name: bytes, payload: bytes) -> bytes:
    return name + struct.pack("<I", len(payload)) + payload


def recv_sync(peer: Peer) -> tuple[bytes, bytes]:
    name = peer.recv(4)
    return name, peer.recv(struct.unpack("<I", peer.recv(4))[0])


def serves(answer: bytes, *, dribble: bool = False, hold: bool = False) -> Handler:
    """Answer one RECV of /f."""

    def handler(peer: Peer) -> None:
        peer.send(b"OKAY")
        assert recv_sync(peer) == (b"RECV", b"/f")
        peer.dribble(answer) if dribble else peer.send(answer)
        if hold:
            peer.hold()

    return handler


DONE = b"DONE" + bytes(4)


class Sink:
    """The receiving end of a push."""

    def __init__(self) -> None:
        self.header = b""
        self.data = b""
        self.mtime = 0

    def __call__(self, peer: Peer) -> None:
        peer.send(b"OKAY")
        name, self.header = recv_sync(peer)
        assert name == b"SEND"
        while True:
            name = peer.recv(4)
            (number,) = struct.unpack("<I", peer.recv(4))
            if name == b"DONE":
                self.mtime = number
                break
            assert name == b"DATA"
            assert number <= 64 * 1024
            self.data += peer.recv(number)
        peer.send(b"OKAY" + bytes(4))


def test_read_file(device: Device, fake: FakeServer) -> None:
    parts = [b"a" * 65536, b"b" * 100]
    fake.on("sync:", serves(b"".join(sync_packet(b"DATA", part) for part in parts) + DONE))
    assert list(device.read_file("/f", size=65636)) == parts
    assert fake.connections == 1


def test_read_file_dribbled(device: Device, fake: FakeServer) -> None:
    fake.on("sync:", serves(sync_packet(b"DATA", b"hello") + DONE, dribble=True))
    assert b"".join(device.read_file("/f")) == b"hello"


def test_missing_file_is_named_and_nothing_is_created(
    device: Device, fake: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fake.on("sync:", serves(sync_packet(b"FAIL", b"open failed: No such file or directory")))
    with pytest.raises(DroidheadersError, match=r"phone1 refuses to read /f: .*No such file"):
        list(device.read_file("/f"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [4, 6, 0])
def test_other_size_than_announced(device: Device, fake: FakeServer, size: int) -> None:
    fake.on("sync:", serves(sync_packet(b"DATA", b"hello") + DONE))
    with pytest.raises(DeviceLostError, match=f"phone1 sent 5 bytes of /f instead of {size}"):
        list(device.read_file("/f", size=size))


@pytest.mark.parametrize("cut", [0, 3, 6, 10])
def test_truncated_file(device: Device, fake: FakeServer, cut: int) -> None:
    fake.on("sync:", serves(sync_packet(b"DATA", b"hello")[:cut]))
    with pytest.raises(DeviceLostError, match="phone1 was lost while reading /f"):
        list(device.read_file("/f"))


@pytest.mark.parametrize("answer", [b"WHAT" + bytes(4), b"DATA\xff\xff\xff\xff"])
def test_nonsense_instead_of_a_file(device: Device, fake: FakeServer, answer: bytes) -> None:
    fake.on("sync:", serves(answer))
    with pytest.raises(DroidheadersError, match="phone1"):
        list(device.read_file("/f"))


def test_stalled_file(device: Device, fake: FakeServer) -> None:
    fake.on("sync:", serves(sync_packet(b"DATA", b"hello"), hold=True))
    chunks = device.read_file("/f", idle_timeout=0.1)
    assert next(chunks) == b"hello"
    with pytest.raises(DeviceTimeoutError, match="phone1"):
        next(chunks)


def test_reading_may_stop_early(device: Device, fake: FakeServer) -> None:
    left: list[bytes] = []

    def handler(peer: Peer) -> None:
        serves(sync_packet(b"DATA", b"hello"))(peer)
        left.append(peer.hold())

    fake.on("sync:", handler)
    chunks = device.read_file("/f")
    assert next(chunks) == b"hello"
    chunks.close()  # type: ignore[attr-defined]  # it is a generator
    fake.__exit__(None, None, None)
    assert left == [b""]


def test_push_bytes(device: Device, fake: FakeServer) -> None:
    sink = Sink()
    fake.on("sync:", sink)
    body = bytes(range(256)) * 1000
    steps: list[int] = []
    device.push(body, "/data/local/tmp/a,b", mode=0o755, progress=steps.append)
    assert sink.data == body
    assert sink.header == f"/data/local/tmp/a,b,{stat.S_IFREG | 0o755}".encode()
    assert sink.mtime > 1_600_000_000
    assert sum(steps) == len(body)
    assert len(steps) == 4


@pytest.mark.parametrize("body", [b"", b"abc"])
def test_push_a_path_and_a_file(
    device: Device, fake: FakeServer, tmp_path: Path, body: bytes
) -> None:
    sink = Sink()
    fake.on("sync:", sink)
    path = tmp_path / "f"
    path.write_bytes(body)
    device.push(path, "/f")
    assert sink.data == body
    with io.BytesIO(body) as file:
        sink.data = b""
        device.push(file, "/f")
        assert not file.closed
    assert sink.data == body


def test_several_files_over_one_connection(device: Device, fake: FakeServer) -> None:
    first = Sink()

    def handler(peer: Peer) -> None:
        first(peer)
        assert recv_sync(peer) == (b"SEND", f"/two,{stat.S_IFREG | 0o600}".encode())
        peer.send(sync_packet(b"FAIL", b"No space left on device"))
        peer.hold()

    fake.on("sync:", handler)
    with pytest.raises(DroidheadersError, match="phone1 refuses to write /two: No space left"):
        device.push_all([(b"abc", "/one", 0o755), (b"x" * 1000, "/two", 0o600)])
    assert (first.header, first.data) == (f"/one,{stat.S_IFREG | 0o755}".encode(), b"abc")
    assert fake.connections == 1


def test_push_of_a_missing_path(device: Device, fake: FakeServer, tmp_path: Path) -> None:
    with pytest.raises(DroidheadersError, match=r"cannot read .*nothing: No such file"):
        device.push(tmp_path / "nothing", "/f")
    assert fake.connections == 0


def test_push_refused_at_the_end(device: Device, fake: FakeServer) -> None:
    def handler(peer: Peer) -> None:
        peer.send(b"OKAY")
        while (name := peer.recv(4)) != b"DONE":
            assert name in {b"SEND", b"DATA"}
            peer.recv(struct.unpack("<I", peer.recv(4))[0])
        peer.send(sync_packet(b"FAIL", b"No space left on device"))

    fake.on("sync:", handler)
    with pytest.raises(DroidheadersError, match="phone1 refuses to write /f: No space left"):
        device.push(b"x" * 100, "/f")


def test_push_refused_at_once_while_the_device_reads_on(device: Device, fake: FakeServer) -> None:
    def handler(peer: Peer) -> None:
        peer.send(b"OKAY")
        recv_sync(peer)
        peer.send(sync_packet(b"FAIL", b"couldn't create file: Permission denied"))
        peer.hold()

    sent: list[int] = []
    fake.on("sync:", handler)
    with pytest.raises(DroidheadersError, match=r"refuses to write /f: .*Permission denied"):
        device.push(b"x" * 50_000_000, "/f", progress=sent.append)
    assert sum(sent) < 50_000_000  # it stopped when it was told


def test_push_refused_and_hung_up(device: Device, fake: FakeServer) -> None:
    def handler(peer: Peer) -> None:
        peer.send(b"OKAY")
        recv_sync(peer)
        peer.send(sync_packet(b"FAIL", b"Read-only file system"))
        peer.socket.shutdown(socket.SHUT_WR)
        peer.socket.close()  # with data unread: the client gets a reset, or a broken pipe

    fake.on("sync:", handler)
    with pytest.raises(DroidheadersError) as caught:
        device.push(b"x" * 5_000_000, "/f")
    # A reset may overtake the reason; then, and only then, the device counts as lost.
    assert "phone1" in caught.value.message


def test_reason_is_read_from_a_broken_pipe(
    device: Device, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler(peer: Peer) -> None:
        peer.send(b"OKAY")
        recv_sync(peer)
        peer.send(sync_packet(b"FAIL", b"Read-only file system"))
        peer.hold()

    fake.on("sync:", handler)
    real = socket.socket.sendall

    def breaks(self: socket.socket, data: bytes) -> None:
        if data.startswith(b"DATA"):
            raise BrokenPipeError
        real(self, data)

    monkeypatch.setattr("droidheaders.adb.sync.select.poll", NeverReady)
    monkeypatch.setattr(socket.socket, "sendall", breaks)
    with pytest.raises(DroidheadersError, match="refuses to write /f: Read-only file system"):
        device.push(b"x", "/f")


class NeverReady:
    def register(self, fd: object, mask: int) -> None:
        """As if the FAIL were still on its way."""

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        return []


def test_push_to_a_device_that_vanishes(device: Device, fake: FakeServer) -> None:
    def handler(peer: Peer) -> None:
        peer.send(b"OKAY")
        fake.devices = ""

    fake.on("sync:", handler)
    with pytest.raises(DeviceLostError, match=r"phone1 was lost while writing /f: .*unplugged"):
        device.push(b"x" * 100, "/f")


def test_push_answer_that_is_no_sync(device: Device, fake: FakeServer) -> None:
    fake.on("sync:", b"OKAYWHAT" + bytes(4))
    with pytest.raises(DeviceLostError, match="not adb"):
        device.push(b"x" * 100, "/f")


def test_local_errors_are_not_the_device_s(device: Device, fake: FakeServer) -> None:
    def handler(peer: Peer) -> None:
        peer.send(b"OKAY")
        peer.hold()

    fake.on("sync:", handler)

    def full(n: int) -> None:
        raise OSError("the disk of the caller")

    with pytest.raises(OSError, match="of the caller"):
        device.push(b"x", "/f", progress=full)
