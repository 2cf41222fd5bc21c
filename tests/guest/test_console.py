"""How far a guest has come, on consoles as guests have written them."""

from __future__ import annotations

from pathlib import Path

import pytest

from droidheaders.guest import console

BANNER = (
    "[    0.000000] Linux version 6.1.0-50-cloud-arm64 (gcc-12 12.2.0) #1 SMP Debian 6.1.176-1\r\n"
)
BOOTING = BANNER + "[    0.372712] Asymmetric key parser 'x509' registered\r\n"
INIT = BOOTING + "droidheaders: init\r\n"
ADBD = (
    INIT
    + "[    1.608069] configs: loading out-of-tree module taints kernel.\r\ndroidheaders: adbd\r\n"
)
PANIC = INIT + (
    "[    1.233094] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\r\n"
    "[    1.234035] Kernel Offset: 0x29800000 from 0xffffffff81000000\r\n"
)
FAILED = INIT + "droidheaders: failed: insmod /boot-modules/virtio.ko: Exec format error\r\n"


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("", 0),
        ("SeaBIOS (version 1.16.2)\r\n", 0),
        (BANNER, 1),
        (BOOTING, 1),
        (INIT, 2),
        (PANIC, 2),
        (ADBD, 3),
        ("droidheaders: adbd\r\n", 3),  # a kernel that prints nothing is no slower for it
    ],
)
def test_stages_are_counted(text: str, stages: int) -> None:
    assert console.passed(text) == stages


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ADBD, ""),
        (PANIC, "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b"),
        (FAILED, "droidheaders: failed: insmod /boot-modules/virtio.ko: Exec format error"),
    ],
)
def test_last_words_are_found(text: str, words: str) -> None:
    assert console.last_words(text) == words


def test_last_lines_are_safe_for_a_terminal() -> None:
    lines = console.last_lines("one\r\n\r\n\x1b[2Jtwo\r\n" + "x" * 500, count=2)
    assert lines[0] == "\\x1b[2Jtwo"
    assert len(lines[1]) == 160


def test_a_console_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    assert console.read(tmp_path / "console.log") == ""


def test_a_console_is_followed_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_bytes(b"one\r\ntw")
    steps = iter([True, True, False])

    def go_on() -> bool:
        more = next(steps)
        if not more:
            with path.open("ab") as file:
                file.write("o\r\n\x1bthré".encode()[:-1])
        return more

    assert list(console.stream(path, go_on, poll=0)) == ["one", "two", "\\x1bthr"]
