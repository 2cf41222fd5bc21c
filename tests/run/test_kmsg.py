"""The records of /dev/kmsg, whole, cut anywhere, and such as no kernel writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from droidheaders.run.kmsg import Kmsg, Line

RECORDS = (
    b"6,334,24645699,-;hello: hello me, 1 of 2\n"
    b"4,336,25092230,-,caller=T104;two\\x0alines and a \\xe2\\x82\\xac\n"
    b" SUBSYSTEM=pci\n DEVICE=+pci:0000:00:01.0\n"
    b"30,337,25092231,c;from user\n"
    b"30,338,25092232,+;space\n"
    b"3,339,25092233,-;\\x1b[2Jred\n"
)
LINES = [
    Line(6, 24.645699, "hello: hello me, 1 of 2"),
    Line(4, 25.09223, "two"),
    Line(4, 25.09223, "lines and a €"),
    Line(6, 25.092231, "from userspace"),
    Line(3, 25.092233, r"\x1b[2Jred"),
]


def test_records_are_lines() -> None:
    kmsg = Kmsg()
    assert kmsg.feed(RECORDS) == LINES
    assert kmsg.lost == 1  # 335
    assert str(LINES[0]) == "[   24.645699] hello: hello me, 1 of 2"


@given(st.integers(1, 40))
def test_they_come_in_pieces(size: int) -> None:
    kmsg = Kmsg()
    found = []
    for at in range(0, len(RECORDS), size):
        found += kmsg.feed(RECORDS[at : at + size])
    assert "".join(line.text for line in found) == "".join(line.text for line in LINES)


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_anything_may_come(pieces: list[bytes]) -> None:
    kmsg = Kmsg()
    for piece in pieces:
        for line in kmsg.feed(piece):
            assert line.text.isprintable()
            assert 0 <= line.level <= 7


def test_a_line_without_an_end_takes_no_memory() -> None:
    kmsg = Kmsg()
    for _ in range(100):
        assert kmsg.feed(b"x" * 65536) == []
    assert len(kmsg.feed(b"\n" + RECORDS)) == len(LINES)
