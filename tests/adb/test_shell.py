from __future__ import annotations

import itertools
import struct
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.adb import Device
from droidheaders.adb.shell import NotShellV2Error, ShellDecoder
from droidheaders.errors import (
    DeviceLostError,
    DeviceTimeoutError,
    DroidheadersError,
    UnsupportedError,
    UsageError,
)

from .fake_server import FakeServer, Peer, fail, okay, packet, shell_answer, stalls


@given(
    packets=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=12),
    status=st.integers(0, 255),
    cuts=st.lists(st.integers(0, 700), max_size=30),
)
def test_decoder_takes_any_boundaries(
    packets: list[tuple[int, bytes]], status: int, cuts: list[int]
) -> None:
    raw = b"".join(packet(kind, data) for kind, data in packets) + packet(3, bytes([status]))
    decoder = ShellDecoder()
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    stdout = b"".join(decoder.feed(raw[a:b]) for a, b in itertools.pairwise(edges))
    assert stdout == b"".join(data for kind, data in packets if kind == 1)
    assert bytes(decoder.stderr) == b"".join(data for kind, data in packets if kind == 2)
    assert decoder.status == status


def test_decoder_passes_on_incomplete_packets() -> None:
    decoder = ShellDecoder()
    assert decoder.feed(packet(1, b"abcdef")[:8]) == b"abc"
    assert decoder.status is None


def test_decoder_keeps_the_end_of_stderr() -> None:
    decoder = ShellDecoder()
    decoder.feed(packet(2, b"0123") + packet(2, b"x" * 65533) + packet(2, b"AB"))
    assert bytes(decoder.stderr) == b"3" + b"x" * 65533 + b"AB"


def test_decoder_refuses_what_is_not_shell_v2() -> None:
    with pytest.raises(NotShellV2Error):
        ShellDecoder().feed(b"uid=0(root)\n")


def test_shell_gives_all_three(device: Device, fake: FakeServer) -> None:
    fake.on_shell("false", shell_answer(b"out\0\xff", b"err", 7))
    result = device.shell("false")
    assert (result.stdout, result.stderr, result.status) == (b"out\0\xff", b"err", 7)


def test_one_connection_and_nothing_else(device: Device, fake: FakeServer) -> None:
    fake.on_shell("true", shell_answer())
    device.shell("true")
    assert fake.connections == 1
    assert fake.requests == ["shell,v2,raw:true"]
    assert fake.transports == ["host:transport-id:7"]


def test_stdin_is_closed_at_once(device: Device, fake: FakeServer) -> None:
    def cat(peer: Peer) -> None:
        peer.send(b"OKAY")
        kind, length = struct.unpack("<BI", peer.recv(5))
        peer.send(packet(1, f"{kind} {length}".encode()) + packet(3, b"\0"))

    fake.on_shell("cat", cat)
    assert device.shell("cat").stdout == b"4 0"


def test_dribbled_answer(device: Device, fake: FakeServer) -> None:
    fake.on_shell("x", lambda peer: peer.dribble(shell_answer(b"slow", b"ly", 3)))
    result = device.shell("x")
    assert (result.stdout, result.stderr, result.status) == (b"slow", b"ly", 3)


def test_stream_yields_while_the_command_runs(device: Device, fake: FakeServer) -> None:
    go_on = threading.Event()

    def handler(peer: Peer) -> None:
        peer.send(b"OKAY" + packet(1, b"first"))
        go_on.wait(5)
        peer.send(packet(1, b"second") + packet(3, b"\5"))

    fake.on_shell("x", handler)
    with device.stream("x") as stream:
        chunks = iter(stream)
        assert next(chunks) == b"first"
        with pytest.raises(ValueError, match="not ended"):
            _ = stream.status
        go_on.set()
        assert list(chunks) == [b"second"]
        assert stream.status == 5


def test_stream_reads_by_size_without_copying_the_rest(device: Device, fake: FakeServer) -> None:
    body = bytes(range(256)) * 4096
    fake.on_shell("x", shell_answer(body))
    with device.stream("x") as stream:
        pieces = []
        while piece := stream.read(1000):
            assert len(piece) <= 1000
            pieces.append(piece)
        # What waits is a view that shrinks, never a buffer that is copied at each read.
        assert all(isinstance(waiting, memoryview) for waiting in stream._ready)
        assert b"".join(pieces) == body
        assert stream.read(10) == b""
        assert stream.status == 0


def test_stream_chunks_are_large(device: Device, fake: FakeServer) -> None:
    body = b"".join(packet(1, b"x" * 4096) for _ in range(512))
    fake.on_shell("x", lambda peer: peer.send(b"OKAY" + body + packet(3, b"\0")))
    with device.stream("x") as stream:
        chunks = list(stream)
    assert sum(map(len, chunks)) == 512 * 4096
    assert len(chunks) < 256  # fewer chunks than packets: they are joined


def test_a_flood_is_not_a_result(device: Device, fake: FakeServer) -> None:
    flood = packet(1, bytes(1 << 20)) * 17
    fake.on_shell("yes", b"OKAY" + flood + packet(3, b"\0"))
    with pytest.raises(DeviceLostError, match="without end"):
        device.shell("yes")


def test_stream_bounds_stderr(device: Device, fake: FakeServer) -> None:
    fake.on_shell("x", lambda peer: peer.send(shell_answer(b"", b"e" * 100_000 + b"last")))
    with device.stream("x") as stream:
        assert stream.read() == b""
        assert len(stream.stderr) == 64 * 1024
        assert stream.stderr.endswith(b"last")


def test_early_close_is_quick_and_seen(device: Device, fake: FakeServer) -> None:
    closed = threading.Event()

    def endless(peer: Peer) -> None:
        peer.send(b"OKAY")
        try:
            while True:
                peer.send(packet(1, b"y\n" * 2048))
        finally:
            closed.set()

    fake.on_shell("yes", endless)
    start = time.monotonic()
    with device.stream("yes") as stream:
        assert stream.read(2) == b"y\n"
    assert time.monotonic() - start < 2
    assert closed.wait(5)


def test_no_exit_status_is_a_lost_device(device: Device, fake: FakeServer) -> None:
    fake.on_shell("x", b"OKAY" + packet(1, b"half"))
    with pytest.raises(DeviceLostError, match=r"device phone1 was lost .*closed the connection"):
        device.shell("x")


def test_truncated_header_is_a_lost_device(device: Device, fake: FakeServer) -> None:
    fake.on_shell("x", b"OKAY\x01\x00")
    with pytest.raises(DeviceLostError, match="phone1"):
        device.shell("x")


def test_unplugged_in_the_middle(device: Device, fake: FakeServer) -> None:
    def unplug(peer: Peer) -> None:
        peer.send(b"OKAY" + packet(1, b"half"))
        fake.devices = ""

    fake.on_shell("x", unplug)
    with pytest.raises(DeviceLostError, match=r"phone1 was lost .*unplugged"):
        device.shell("x")


def test_server_killed_in_the_middle(device: Device, fake: FakeServer) -> None:
    fake.on_shell("x", stalls(b"OKAY" + packet(1, b"half")))
    with device.stream("x") as stream:
        assert stream.read(4) == b"half"
        fake.kill()
        with pytest.raises(DeviceLostError, match=r"phone1 .*the adb server at .* went away"):
            stream.read(4)


def test_gone_before_the_command(device: Device, fake: FakeServer) -> None:
    fake.devices = ""
    with pytest.raises(DeviceLostError, match=r"phone1 .*unplugged"):
        device.shell("x")


def test_offline_before_the_command(device: Device, fake: FakeServer) -> None:
    fake.on("host:transport-id:7", fail("device offline (transport offline)"))
    with pytest.raises(DroidheadersError, match="device phone1 is offline"):
        device.shell("x")


def test_stall(device: Device, fake: FakeServer) -> None:
    fake.on_shell("x", stalls(b"OKAY" + packet(1, b"half")))
    with device.stream("x", idle_timeout=0.1) as stream:
        assert stream.read(4) == b"half"
        with pytest.raises(DeviceTimeoutError, match="phone1 did not answer in time"):
            stream.read(4)


def test_shell_timeout_is_for_the_whole(device: Device, fake: FakeServer) -> None:
    def trickle(peer: Peer) -> None:
        peer.send(b"OKAY")
        while True:
            peer.send(packet(1, b"."))
            time.sleep(0.02)

    fake.on_shell("x", trickle)
    with pytest.raises(DeviceTimeoutError, match="phone1"):
        device.shell("x", timeout=0.2)


def test_stall_before_the_command_starts(device: Device, fake: FakeServer) -> None:
    fake.on_shell("x", stalls(b""))
    with pytest.raises(DeviceTimeoutError, match="phone1"):
        device.shell("x", timeout=0.1)


def test_v1_only_device_is_refused(device: Device, fake: FakeServer) -> None:
    fake.features = "cmd"
    fake.on_shell("x", fail("closed"))
    with pytest.raises(UnsupportedError, match="phone1 does not speak adb's shell v2"):
        device.shell("x")
    assert not any(request.startswith("shell:") for request in fake.requests)


def test_v1_output_is_refused(device: Device, fake: FakeServer) -> None:
    fake.on_shell("x", b"OKAYuid=2000(shell)\n")
    with pytest.raises(UnsupportedError, match="shell v2"):
        device.shell("x")


def test_closed_by_a_v2_device_is_lost(device: Device, fake: FakeServer) -> None:
    fake.on_shell("x", fail("closed"))
    with pytest.raises(DeviceLostError, match="phone1"):
        device.shell("x")


def test_answer_that_is_no_adb(device: Device, fake: FakeServer) -> None:
    fake.on("host:transport-id:7", b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(DroidheadersError, match="phone1"):
        device.shell("x")


@pytest.mark.parametrize("script", ["a\0b", "x" * 70_000])
def test_commands_adb_would_cut(device: Device, fake: FakeServer, script: str) -> None:
    with pytest.raises(UsageError, match="phone1"):
        device.shell(script)
    assert fake.connections == 0


def test_long_command_arrives_whole(device: Device, fake: FakeServer) -> None:
    script = "echo " + "é" * 25_000
    fake.on_shell(script, shell_answer(b"ok"))
    assert device.shell(script).stdout == b"ok"


def test_server_too_old_for_transport_ids(device: Device, fake: FakeServer) -> None:
    fake.devices = "phone1 device usb:1-4 product:p model:m device:d\n"
    fake.on_shell("x", shell_answer(b"ok"))
    assert device.server.select().shell("x").stdout == b"ok"
    assert fake.transports[-1] == "host:transport:phone1"


def test_threads_share_a_device(device: Device, fake: FakeServer) -> None:
    for i in range(16):
        fake.on_shell(f"echo {i}", shell_answer(str(i).encode()))
    got: dict[int, bytes] = {}

    def run(i: int) -> None:
        got[i] = device.shell(f"echo {i}").stdout

    threads = [threading.Thread(target=run, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {i: str(i).encode() for i in range(16)}


def test_wait_for_takes_the_new_transport_id(device: Device, fake: FakeServer) -> None:
    answers = iter(["", "phone1 offline usb:1-4 transport_id:8\n"])
    back = "phone1 device usb:1-4 transport_id:9\n"
    fake.on("host:devices-l", lambda peer: peer.send(okay(next(answers, back))))
    device.wait_for("device", timeout=5)
    assert device.transport_id == 9


def test_twin_serials_are_told_apart_by_their_port(device: Device, fake: FakeServer) -> None:
    twin = "phone1 device usb:1-5 transport_id:5\n"
    fake.devices = twin + "phone1 device usb:1-4 transport_id:9\n"
    device.wait_for("device", timeout=5)
    assert device.transport_id == 9
    fake.devices = "phone1 device usb:2-1 transport_id:10\n"  # plugged in elsewhere
    device.wait_for("device", timeout=5)
    assert device.transport_id == 10


def test_wait_for_disconnect(device: Device, fake: FakeServer) -> None:
    answers = iter(["phone1 device usb:1-4 transport_id:7\n"])
    fake.on("host:devices-l", lambda peer: peer.send(okay(next(answers, ""))))
    device.wait_for("disconnect", timeout=5)
    assert fake.requests == ["host:devices-l"] * 2


def test_wait_for_gives_up(device: Device, fake: FakeServer) -> None:
    fake.devices = "phone1 unauthorized usb:1-4 transport_id:8\n"
    with pytest.raises(DeviceTimeoutError, match="phone1 is unauthorized"):
        device.wait_for("device", timeout=0.15)
