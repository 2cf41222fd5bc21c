"""A hundred megabytes of output: all of it passes, and none of it stays."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from droidheaders.adb import Piece
from droidheaders.cli import running
from droidheaders.run.bpf import Watch
from droidheaders.run.expecting import Expectations
from droidheaders.run.job import Job
from droidheaders.run.loader import Loader
from droidheaders.run.triggers import Triggers
from tests.run.test_watching import NoTriggers

AMOUNT = 100 << 20
_PIECE = 256 << 10  # what one read of a session gives at most


def said(line: bytes) -> Iterator[bytes]:
    """Give the words of a loader that says a line over and over, in pieces that cut it anywhere."""
    yield b'{"type":"ready"}\n'
    block = line * (2 * _PIECE // len(line) + 1)
    sent = at = 0
    while sent < AMOUNT:
        yield block[at : at + _PIECE]
        sent += _PIECE
        at = (at + _PIECE) % len(line)
    yield line[at:] if at else b""


class Flood:
    """A session that gives all of that, and then its end."""

    def __init__(self, line: bytes) -> None:
        self.status: int | None = None
        self._pieces = said(line)

    def read(self, timeout: float | None = None) -> list[Piece]:
        piece = next(self._pieces, None)
        if piece is None:
            self.status = 0
            return [Piece(False, b'{"type":"end","reason":"exit","dropped":0}\n')]
        return [Piece(False, piece)]

    def close_stdin(self) -> None:
        pass


@pytest.mark.parametrize(
    "event",
    [
        {"type": "trace", "text": "a line of many, " * 200},
        pytest.param(
            {"type": "record", "map": "rb", "cpu": None, "size": 6000, "data": "QUJD" * 2000},
            marks=pytest.mark.full,
        ),
        pytest.param(
            {"type": "log", "source": "verifier", "program": "p", "text": "x" * 4000},
            marks=pytest.mark.full,
        ),
    ],
    ids=["trace", "record", "log"],
)
def test_it_passes(
    event: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    line = json.dumps(event).encode() + b"\n"
    loader = Loader(Flood(line))  # type: ignore[arg-type]
    watch = Watch(Job(Path("x.o")), Expectations(["never"], None), loader, running._show)
    with (tmp_path / "null").open("w") as out:
        monkeypatch.setattr("sys.stdout", out)
        tracemalloc.start()
        try:
            watch.follow(cast(Triggers, NoTriggers()))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            monkeypatch.undo()
    assert peak < 8 << 20
    assert loader.passed_over == 0
    assert watch.seen.ended
    if event["type"] != "log":
        assert watch.expectations.lines >= AMOUNT // len(line)
