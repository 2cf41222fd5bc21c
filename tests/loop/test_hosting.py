"""Commands on this host: what they write, how they end, and that nothing of them stays."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from droidheaders.adb.session import Piece
from droidheaders.guest.process import start_time
from droidheaders.loop import hosting, kept


def _run(
    command: str, place: Path, seconds: float | None = 60.0, stopped: threading.Event | None = None
) -> tuple[int | None, bytes, bytes]:
    pieces: list[Piece] = []
    status = hosting.run(
        command,
        place,
        dict(os.environ),
        pieces.append,
        seconds=seconds,
        stopped=stopped or threading.Event(),
    )
    out, err = (b"".join(one.data for one in pieces if one.error == which) for which in (0, 1))
    return status, out, err


def _await_end(file: Path) -> None:
    """Wait until the process whose number is in the file is gone; the kernel takes a moment."""
    pid = int(file.read_text())
    for _ in range(500):
        if start_time(pid) is None:
            return
        time.sleep(0.01)
    raise AssertionError(f"{pid} is still there")


def test_what_it_writes_and_its_status(tmp_path: Path) -> None:
    status, out, err = _run("pwd; echo oh >&2; exit 7", tmp_path)
    assert (status, out, err) == (7, f"{tmp_path.resolve()}\n".encode(), b"oh\n")


def test_more_output_than_a_pipe_takes_is_whole(tmp_path: Path) -> None:
    status, out, _ = _run("head -c 5000000 /dev/zero; exec >&-; sleep 0.2", tmp_path)
    assert (status, len(out)) == (0, 5_000_000)


def test_a_signal_is_told_as_a_shell_tells_it(tmp_path: Path) -> None:
    assert _run("kill -9 $$", tmp_path)[0] == 128 + 9


def test_what_it_leaves_in_the_background_is_not_waited_for_and_ends(tmp_path: Path) -> None:
    status, out, _ = _run("sleep 1000 & echo $! >pid; echo done", tmp_path)
    assert (status, out) == (0, b"done\n")
    _await_end(tmp_path / "pid")


def test_its_time_is_over_for_its_children_too(tmp_path: Path) -> None:
    command = "trap '' TERM; sleep 1000 & echo $! >pid; echo begun; wait; wait"
    status, out, _ = _run(command, tmp_path, seconds=1.0)
    assert (status, out) == (None, b"begun\n")
    _await_end(tmp_path / "pid")


def test_it_ends_when_somebody_stops_it(tmp_path: Path) -> None:
    stopped = threading.Event()
    timer = threading.Timer(0.5, stopped.set)
    timer.start()
    assert _run("sleep 1000", tmp_path, None, stopped)[0] is None
    timer.join()


def test_a_file_is_cut_where_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LARGEST", 10)
    with kept.Kept(tmp_path / "file") as file:
        file.line("1234")
        file.line("5678\udc80")
        assert (tmp_path / "file").read_bytes() == b"1234\n5678\\"
    assert (tmp_path / "file").read_bytes() == b"1234\n5678\\\n(cut off here: 6 bytes more)\n"
