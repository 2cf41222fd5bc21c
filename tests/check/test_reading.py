"""How a person reads it: on a terminal, in a pipe, with little room, without colours or Unicode."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.check.conftest import Check
from tests.check.phone import driver, phone
from tests.fake_device import FakeDevice
from tests.modules import X86_64

_SGR = re.compile(r"\x1b\[[\d;]*m")


def terminal(
    device: FakeDevice,
    home: Path,
    *arguments: str,
    columns: int = 60,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run `check` with stdout on a terminal; return its status and what it wrote there."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    clean = {n: v for n, v in os.environ.items() if n not in ("COLUMNS", "NO_COLOR", "LC_ALL")}
    with subprocess.Popen(
        [sys.executable, "-m", "droidheaders", "check", *arguments],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=clean
        | {
            "ANDROID_ADB_SERVER_PORT": str(device.port),
            "DROIDHEADERS_CACHE": str(home / "cache"),
            "DROIDHEADERS_STATE": str(home / "state"),
            "TERM": "xterm",
            "PYTHONIOENCODING": "utf-8",
            **(environment or {}),
        },
    ) as process:
        os.close(theirs)
        written = b""
        while data := _read(ours):
            written += data
        os.close(ours)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    return process.returncode, written.decode().replace("\r\n", "\n")


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # EIO: the other end is closed
        return b""


def plain(text: str) -> list[str]:
    return _SGR.sub("", text).splitlines()


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(
    tmp_path: Path, device: FakeDevice, columns: int
) -> None:
    name = tmp_path / "a-driver-with-a-name-that-takes-some-room.ko"
    name.write_bytes(driver(undefined=["nobody_has_it", "nor_this_one", "nor_that"]))
    status, text = terminal(device, tmp_path, "-v", str(name), "--for", "bpf", columns=columns)
    assert status == 4
    for line in plain(text):
        words = line.split()
        # A word is never broken: a path is to be copied whole.
        assert len(line) <= columns or len(words) <= 2, line
    assert sum(len(line) > columns for line in plain(text)) <= 1
    place = plain(text).index(f"✗ {name}") + 1
    assert plain(text)[place].lstrip().startswith("nobody_has_it, nor_that")


def test_signs_and_colours(tmp_path: Path, device: FakeDevice) -> None:
    status, text = terminal(device, tmp_path)
    assert status == 0
    assert "\x1b[32m✓\x1b[0m headers" in text
    assert "\x1b[31m✗\x1b[0m fentry" in text
    assert set(_SGR.findall(text)) <= {f"\x1b[{n}m" for n in (0, 31, 32, 33)}
    assert not re.search(r"\b(yes|no|risky|unknown) +\w+  ", text)


def test_answers_stand_below_each_other(tmp_path: Path, device: FakeDevice) -> None:
    _, text = terminal(device, tmp_path, "--for", "bpf", "-v")
    heads = [re.match(r"  \S \w+ +(?=\S)", line) for line in plain(text)[2:]]
    assert {match.end() for match in heads if match} == {19}


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colours(tmp_path: Path, device: FakeDevice, environment: dict[str, str]) -> None:
    _, text = terminal(device, tmp_path, "--for", "headers", environment=environment)
    assert "\x1b" not in text
    assert "\n✓ headers  " in text


def test_a_terminal_that_knows_ascii_only(tmp_path: Path) -> None:
    """Words for signs, and what else it cannot show is escaped."""
    with phone(tmp_path / "device", files={"proc/cmdline": b"lsm=selinux\n"}) as device:
        path = tmp_path / "größe.ko"
        path.write_bytes(driver(machine=X86_64))
        ascii_ = {"PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
        status, text = terminal(device, tmp_path, str(path), columns=200, environment=ascii_)
    assert status == 4
    assert text.isascii()
    assert re.search(r"^no +\S+gr\\xf6\\xdfe\.ko ", text, re.MULTILINE)


def test_a_terminal_with_no_room(tmp_path: Path, device: FakeDevice) -> None:
    """Wrapping it would take more lines than it helps."""
    _, text = terminal(device, tmp_path, "--for", "modules", columns=30)
    assert "✓ modules  root (su 0) may load them (CAP_SYS_MODULE, u:r:su:s0)" in plain(text)


def test_colours_can_be_had_in_a_pipe(device: FakeDevice, check: Check) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "droidheaders", "check", "--for", "modules", "--color"],
        env=os.environ | {"ANDROID_ADB_SERVER_PORT": str(device.port)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines()[2].startswith("\x1b[32myes    \x1b[0m modules  root (su 0) may")


def test_in_a_pipe_there_are_words_and_whole_lines(device: FakeDevice, check: Check) -> None:
    out = check(device).out
    assert out.isascii()
    assert all(line.startswith(("yes ", "no ", " ")) for line in out.splitlines()[1:])
    assert max(map(len, out.splitlines())) > 100


def test_only_what_is_not_fine_is_shown(device: FakeDevice, check: Check) -> None:
    lines = check(device, "--for", "bpf").out.splitlines()[3:]
    assert lines
    assert {line.split()[0] for line in lines} == {"no"}


def test_ways_that_are_not_needed_are_not_shown(device: FakeDevice, check: Check) -> None:
    lines = check(device, "--for", "headers").out.splitlines()[2:]
    assert [line.split()[0] for line in lines] == ["yes", "hint:"]


def test_verbose_shows_every_answer(device: FakeDevice, check: Check) -> None:
    out = check(device, "-v").out
    told = check(device, "--json").json
    names = {
        answer["name"]
        for report in ("headers", "bpf", "modules", "compiler")
        for answer in told[report]["answers"]
        if answer["because"] != told[report]["because"]
    }
    assert names == {
        match[1] for match in re.finditer(r"^  (?:yes|no|risky|unknown) +(\S+)  ", out, re.M)
    }


def test_a_hint_is_not_repeated(tmp_path: Path, check: Check) -> None:
    properties = b"[ro.debuggable]: [0]\n"
    with phone(tmp_path / "device", su=False, files={"properties": properties}) as device:
        out = check(device, "--for", "bpf").out
    assert out.count("hint: root the device") == 1


def test_an_answer_that_was_asked_for_is_shown(device: FakeDevice, check: Check) -> None:
    """One by one, that is: of a fragment, only what is lacking."""
    out = check(device, "--config", "HZ", "--config", "KASAN=n").out
    assert "  yes     CONFIG_HZ     250 in /proc/config.gz\n" in out
    assert "  yes     CONFIG_KASAN  n in /proc/config.gz\n" in out


def test_quiet(device: FakeDevice, check: Check) -> None:
    """What was asked for is data, and stays."""
    assert check(device, "-q").out == check(device).out


def test_json_on_a_terminal(tmp_path: Path, device: FakeDevice) -> None:
    _, text = terminal(device, tmp_path, "--json")
    assert text.startswith('{"schema": 1, ')
    assert text.count("\n") == 1
    assert text.isascii()
