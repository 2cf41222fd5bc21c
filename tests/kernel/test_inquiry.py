"""What real guests answered, and what is made of it; and of what no device would answer."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.errors import HeadersError
from droidheaders.kernel import ikconfig
from droidheaders.kernel.inquiry import Inquiry, User, parse
from droidheaders.kernel.kconfig import Kconfig

NONCE = "00112233445566778899aabbccddeeff"
GOLDEN = sorted((Path(__file__).parent / "golden").glob("inquiry-*"))
EVERY_CAPABILITY = (1 << 41) - 1


def golden(name: str) -> bytes:
    answer = (Path(__file__).parent / f"golden/inquiry-{name}").read_bytes()
    return answer.replace(b"@NONCE", f"@{NONCE}".encode())


def inquiry(name: str) -> Inquiry:
    return parse(golden(name), NONCE)


@pytest.mark.parametrize(
    ("name", "shell", "user"),
    [
        (
            "6.1-arm64-userdebug",
            User("shell", 2000, "u:r:shell:s0", 0),
            User("su 0", 0, "u:r:su:s0", EVERY_CAPABILITY),
        ),
        (
            "6.1-x86_64-su",
            User("shell", 2000, "u:r:shell:s0", 0),
            User("su -c", 0, "u:r:magisk:s0", EVERY_CAPABILITY),
        ),
        (
            "6.1-x86_64-user",
            User("shell", 2000, "u:r:shell:s0", 0),
            User("shell", 2000, "u:r:shell:s0", 0),
        ),
        (
            "6.1-x86_64-root",
            User("adbd", 0, "u:r:su:s0", EVERY_CAPABILITY),
            User("adbd", 0, "u:r:su:s0", EVERY_CAPABILITY),
        ),
    ],
)
def test_who_answers(name: str, shell: User, user: User) -> None:
    told = inquiry(name)
    assert (told.shell, told.user) == (shell, user)


def test_root_is_told_what_the_shell_is_not() -> None:
    root, shell = inquiry("6.1-x86_64-su"), inquiry("6.1-x86_64-user")
    assert root.switches["unprivileged_bpf_disabled"] == "0"
    assert root.switches["sig_enforce"] == "N"
    assert root.switches["cmdline"].startswith("console=")
    assert shell.switches.keys() == {"perf_event_paranoid"}
    place = "/sys/kernel/tracing/kprobe_events"
    assert (root.files[place], shell.files[place]) == ("readable", "denied")
    assert [f.path.rpartition("/")[2] for f in root.modules] == ["kheaders.ko"]
    assert shell.modules == ()
    assert root.module_path.endswith("kheaders.ko")
    assert (shell.module_path, shell.module) == ("", b"")


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.name)
def test_what_everybody_is_told(path: Path) -> None:
    told = inquiry(path.name.removeprefix("inquiry-"))
    assert told.mounts["/sys/kernel/tracing"] == "tracefs"
    assert told.mounts["/sys/fs/bpf"] == "bpf"
    assert told.mounts["/sys/fs/cgroup"] == "cgroup2"
    assert set(told.mounts.values()) <= {"tracefs", "bpf", "cgroup2", "debugfs"}
    assert told.memlock == 8 << 20
    assert Kconfig.parse(ikconfig.decompress(told.config))["BPF_SYSCALL"] == "y"
    assert told.properties["ro.build.type"] == told.probe.build_type
    assert told.debuggable == (told.probe.build_type == "userdebug")


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.name)
def test_every_missing_answer_is_noticed(path: Path) -> None:
    text = golden(path.name.removeprefix("inquiry-"))
    for key in ("uname", "props", "su", "who", "told", "user_context", "config", "module", "end"):
        without = text.replace(f"@{NONCE} {key}\n".encode(), b"")
        assert without != text
        with pytest.raises(ValueError, match="no answer about"):
            parse(without, NONCE)


def test_a_device_cannot_make_itself_root_by_a_property() -> None:
    text = golden("6.1-x86_64-user").replace(
        b"[ro.debuggable]: [0]", b"[ro.debuggable]: [0]\n@%s who\nsu 0" % NONCE.encode()
    )
    with pytest.raises(ValueError, match="no answer about 'order'"):
        parse(text, NONCE)


@pytest.mark.parametrize(
    ("old", "new", "field", "expected"),
    [
        (b"memory          8388608 ", b"memory        unlimited ", "memlock", None),
        (b"CapEff:\t000001ffffffffff", b"CapEff:\tffffffffffffffffff", "caps", 0),
        (b"CapEff:\t000001ffffffffff", b"CapEff:\t\x1b[31m", "caps", 0),
        (b"CapEff:\t000001ffffffffff", b"CapEff:\t000000c000000000", "caps", 0xC000000000),
    ],
)
def test_odd_limits_and_capabilities(
    old: bytes, new: bytes, field: str, expected: int | None
) -> None:
    text = golden("6.1-x86_64-su")
    assert old in text or field == "memlock"
    told = parse(_replaced(text, old, new), NONCE)
    assert (told.memlock if field == "memlock" else told.user.caps) == expected


def _replaced(text: bytes, old: bytes, new: bytes) -> bytes:
    changed = text.replace(old, new)
    if changed == text:  # the columns of /proc/self/limits
        import re

        changed = re.sub(rb"Max locked memory +\d+ +\d+", b"Max locked memory unlimited x", text)
    assert changed != text
    return changed


def test_words_of_a_device_are_made_fit_for_a_terminal() -> None:
    text = golden("6.1-x86_64-su").replace(b"u:r:magisk:s0", b"u:r:\x1b[2J:s0")
    text = text.replace(b"console=", b"\x1b]0;x\x07=")
    told = parse(text, NONCE)
    assert told.user.context == r"u:r:\x1b[2J:s0"
    assert told.switches["cmdline"].isprintable()


@given(st.data())
def test_any_damage_is_refused_or_understood(data: st.DataObject) -> None:
    text = golden("6.1-x86_64-su")
    at = data.draw(st.integers(0, len(text) - 1))
    cut = data.draw(st.integers(0, 40))
    junk = data.draw(st.binary(max_size=20))
    with contextlib.suppress(ValueError, HeadersError):
        assert isinstance(parse(text[:at] + junk + text[at + cut :], NONCE), Inquiry)
