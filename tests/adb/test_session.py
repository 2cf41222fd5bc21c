"""A command that is talked to while it runs."""

from __future__ import annotations

import struct

import pytest

from droidheaders.adb import Device, Piece, Session
from droidheaders.errors import DeviceLostError, DeviceTimeoutError, UnsupportedError

from .fake_server import FakeServer, Peer, packet, sends, stalls


def everything(session: Session) -> list[Piece]:
    pieces = []
    while session.status is None:
        pieces += session.read()
    return pieces


def test_the_order_of_both_streams_is_kept(device: Device, fake: FakeServer) -> None:
    words = [packet(1, b"a\0\xff"), packet(2, b"b"), packet(1, b"c"), packet(3, b"\x82")]
    fake.on_shell("it", sends(b"OKAY", b"".join(words)[:7], b"".join(words)[7:]))
    with device.session("it") as session:
        pieces = everything(session)
        assert b"".join(one.data for one in pieces) == b"a\0\xffbc"
        assert [one.error for one in pieces if one.data in b"bc"] == [True, False]
        assert session.status == 130
        assert session.read() == []


def test_stdin_is_passed_on_whole_and_closed(device: Device, fake: FakeServer) -> None:
    sent = bytes(range(256)) * 400

    def cat(peer: Peer) -> None:
        peer.send(b"OKAY")
        taken = b""
        while True:
            kind, length = struct.unpack("<BI", peer.recv(5))
            if kind == 4:
                break
            assert kind == 0
            taken += peer.recv(length)
        peer.send(packet(1, taken) + packet(3, b"\0"))

    fake.on_shell("cat", cat)
    with device.session("cat") as session:
        session.write(sent)
        session.close_stdin()
        assert b"".join(one.data for one in everything(session)) == sent


def test_silence_is_no_error(device: Device, fake: FakeServer) -> None:
    fake.on_shell("sleep", stalls(b"OKAY"))
    with device.session("sleep") as session:
        assert session.read(0.01) == []
        assert session.status is None


@pytest.mark.parametrize("cut", [b"", packet(1, b"abc")[:4], packet(1, b"abc")])
def test_a_device_that_goes(device: Device, fake: FakeServer, cut: bytes) -> None:
    fake.on_shell("it", sends(b"OKAY", cut))
    with device.session("it") as session, pytest.raises(DeviceLostError):
        everything(session)


def test_what_is_not_shell_v2(device: Device, fake: FakeServer) -> None:
    fake.on_shell("it", sends(b"OKAY", b"uid=0(root)\n"))
    fake.on_shell("that", sends(b"OKAY", packet(1, b"x"), packet(9, b"x")))
    with device.session("it") as session, pytest.raises(UnsupportedError):
        everything(session)
    with device.session("that") as session, pytest.raises(DeviceLostError, match="in the middle"):
        everything(session)


def test_a_line_of_stderr_is_taken_and_the_rest_is_read_later(
    device: Device, fake: FakeServer
) -> None:
    words = [packet(1, b"out"), packet(2, b"a li"), packet(2, b"ne\nmore"), packet(3, b"\x07")]
    fake.on_shell("it", sends(b"OKAY", b"".join(words)))
    with device.session("it") as session:
        assert session.take_stderr_line(5.0) == b"a line"
        assert session.status is None
        assert everything(session) == [Piece(False, b"out"), Piece(True, b"more")]
        assert session.status == 7


def test_a_line_of_stderr_that_does_not_come(device: Device, fake: FakeServer) -> None:
    fake.on_shell("sleep", stalls(b"OKAY"))
    fake.on_shell("flood", sends(b"OKAY", packet(1, bytes(1 << 16)) * 17))
    with device.session("sleep") as session, pytest.raises(DeviceTimeoutError):
        session.take_stderr_line(0.01)
    with device.session("flood") as session, pytest.raises(DeviceLostError, match="on and on"):
        session.take_stderr_line(5.0)
