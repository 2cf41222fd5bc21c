"""What is made of a loader's lines, whatever comes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.adb import Piece
from droidheaders.run.events import parse
from droidheaders.run.loader import LONGEST, Loader, words

READY = {"type": "ready"}
GOOD: list[dict[str, Any]] = [
    {"type": "hello", "libbpf": "1.1", "pid": 7},
    {"type": "log", "source": "verifier", "program": None, "text": "0: (b7) r0 = 0"},
    {"type": "log", "source": "verifier", "program": "p", "text": "", "more": [1]},
    {
        "type": "loaded",
        "programs": [{"name": "p", "section": "xdp", "type": "xdp", "insns": 2}],
        "maps": [{"name": "m", "type": "hash", "key_size": 4, "value_size": 8, "max_entries": 1}],
    },
    {"type": "attached", "program": "p", "section": "xdp", "to": "lo"},
    {"type": "unattached", "program": "p", "section": "xdp", "reason": "needs --interface"},
    READY,
    {"type": "trace", "text": "�"},
    {"type": "iter", "program": "p", "text": ""},
    {"type": "record", "map": "m", "cpu": None, "size": 1, "data": "AA=="},
    {"type": "record", "map": "m", "cpu": 1, "size": 1, "data": "AA==", "text": "x"},
    {"type": "lost", "map": None, "count": 3},
    {"type": "map", "name": "m", "entries": [{"key": "00", "value": "01"}], "truncated": False},
    {
        "type": "error",
        "stage": "load",
        "program": "p",
        "section": None,
        "errno": 13,
        "error": "EACCES",
        "message": "p was not loaded",
    },
    {"type": "end", "reason": "stdin", "dropped": 0},
]


class Said:
    """A session that has said something, in these pieces."""

    def __init__(self, pieces: Iterable[bytes], *, error: bool = False) -> None:
        self.pieces = [Piece(error, piece) for piece in pieces]
        self.status = None

    def read(self, timeout: float | None = None) -> list[Piece]:
        pieces, self.pieces = self.pieces, []
        return pieces


def heard(pieces: Iterable[bytes]) -> tuple[list[dict[str, Any]], int]:
    """Return the events of what was said, and how many lines were passed over."""
    loader = Loader(Said(pieces))  # type: ignore[arg-type]
    events = [dict(event) for event in loader.read()]
    return events, loader.passed_over


@pytest.mark.parametrize("event", GOOD, ids=lambda event: str(event["type"]))
def test_what_it_says(event: dict[str, Any]) -> None:
    line = json.dumps(event).encode()
    assert dict(parse(line) or {}) == event
    for name in event:
        if name != "more":
            assert parse(json.dumps({**event, name: {}}).encode()) is None
            assert parse(json.dumps({**event, name: True}).encode()) is None or name == "truncated"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b'"ready"',
        b'{"type":"telepathy"}',
        b'{"type":["ready"]}',
        b'{"type":"hello","libbpf":"1.1"}',
        b'{"type":"loaded","programs":[1],"maps":[]}',
        b'{"type":"loaded","programs":[{"name":"p"}],"maps":[]}',
        b'{"type":"map","name":"m","entries":[{"key":"00"}],"truncated":false}',
        b'{"type":"end","reason":"stdin","dropped":1.5}',
        b'{"type":"end","reason":"stdin","dropped":' + b"9" * 5000 + b"}",
        b"[" * 100000,
        b"\xff\xfe",
    ],
)
def test_what_it_does_not_say_is_passed_over(line: bytes) -> None:
    assert heard([line + b"\n" + json.dumps(READY).encode() + b"\n"]) == ([READY], 1)


def test_a_line_without_end_is_passed_over() -> None:
    ready = json.dumps(READY).encode()
    pieces = [b"x" * (LONGEST // 2)] * 5
    assert heard([*pieces, b"\n", ready, b"\n"]) == ([READY], 1)
    assert heard([ready, b"\n", ready]) == ([READY], 0)


def test_what_could_not_start_it_is_kept() -> None:
    loader = Loader(Said([b"x" * 5000, b"not found\n"], error=True))  # type: ignore[arg-type]
    assert list(loader.read()) == []
    assert loader.stderr.endswith(b"xnot found\n")
    assert len(loader.stderr) == 4096


@given(st.lists(st.sampled_from(GOOD), max_size=8), st.lists(st.integers(1, 400)))
def test_events_come_whole_in_whatever_pieces(
    events: list[dict[str, Any]], cuts: list[int]
) -> None:
    said = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    pieces = []
    for cut in cuts:
        pieces.append(said[:cut])
        said = said[cut:]
    assert heard([*pieces, said]) == (events, 0)


@given(st.lists(st.binary(max_size=60)))
def test_any_bytes_are_read(pieces: list[bytes]) -> None:
    events, _ = heard(pieces)
    assert all(parse(json.dumps(event).encode()) == event for event in events)


json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.sampled_from(GOOD), st.data())
def test_any_value_of_a_field_is_read(event: dict[str, Any], data: st.DataObject) -> None:
    changed = {**event, data.draw(st.sampled_from(sorted(event))): data.draw(json_value)}
    parse(json.dumps(changed).encode())


def test_words() -> None:
    assert words("l", "o") == ["l", "--", "o"]
    many = words(
        "l",
        "-o",
        set_=["a=1", "b=2"],
        maps=["m=1:2"],
        dump=["m"],
        events=["r=s"],
        btf="f",
        interface="lo",
        cgroup="/c",
        pin="/p",
        pid=7,
        trace=False,
    )
    assert many == [
        *("l", "--set", "a=1", "--set", "b=2", "--map", "m=1:2", "--dump", "m"),
        *("--event", "r=s", "--btf", "f", "--interface", "lo", "--cgroup", "/c"),
        *("--pin", "/p", "--pid", "7", "--no-trace", "--", "-o"),
    ]
