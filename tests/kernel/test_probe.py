"""The one round trip: what is asked is answered, or the answer is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.errors import HeadersError
from droidheaders.kernel import Probe
from droidheaders.kernel.probe import parse

NONCE = "00112233445566778899aabbccddeeff"
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.txt"))


def golden(name: str) -> bytes:
    """Return what a real guest answered, under our nonce."""
    answer = (Path(__file__).parent / f"golden/{name}.txt").read_bytes()
    return answer.replace(b"@NONCE", f"@{NONCE}".encode())


def with_line(answer: bytes, old: str, new: str) -> bytes:
    changed = answer.replace(old.encode(), new.encode())
    assert changed != answer
    return changed


def test_an_arm64_guest_before_anything_was_done() -> None:
    probe = parse(golden("6.1-arm64-userdebug"), NONCE)
    assert probe.kernel.release == "6.1.0-50-cloud-arm64"
    assert probe.kernel.version.startswith("#1 SMP Debian 6.1.")
    assert (probe.kernel.machine, probe.kernel.arch) == ("aarch64", "arm64")
    assert len(probe.kernel.build_id) == 40
    assert probe.archive is None
    assert not probe.kheaders_loaded
    assert [f.path for f in probe.modules] == []
    assert (probe.config.state, probe.btf.state) == ("readable", "denied")
    assert (probe.uid, probe.page_size) == (2000, 4096)
    assert (probe.selinux, probe.context) == ("enforcing", "u:r:shell:s0")
    assert probe.build_type == "userdebug"


def test_an_x86_guest_as_root_with_the_module_loaded() -> None:
    probe = parse(golden("6.1-x86_64-root-loaded"), NONCE)
    assert (probe.kernel.machine, probe.kernel.arch) == ("x86_64", "x86")
    assert probe.kheaders_loaded
    assert len(probe.kheaders_build_id) == 40
    assert probe.archive is not None
    assert (probe.archive.path, probe.archive.state) == ("/sys/kernel/kheaders.tar.xz", "readable")
    assert probe.modules[0].path.endswith("/kernel/kernel/kheaders.ko")
    assert probe.btf.state == "readable"
    assert (probe.uid, probe.context) == (0, "u:r:su:s0")


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_every_missing_answer_is_noticed(path: Path) -> None:
    text = golden(path.stem)
    for key in ("uname", "proc_version", "notes", "archives", "files", "context", "end"):
        with pytest.raises(ValueError, match="no answer about"):
            parse(with_line(text, f"@{NONCE} {key}\n", ""), NONCE)


def test_answers_of_another_round_trip_do_not_count() -> None:
    with pytest.raises(ValueError, match="no answer"):
        parse(golden("6.1-arm64-userdebug"), "f" * 32)


def test_a_user_build() -> None:
    probe = parse(golden("5.10-arm64-user"), NONCE)
    assert probe.kernel.build_id == build_id(golden("5.10-arm64-user"))
    assert (probe.uid, probe.build_type) == (2000, "user")


def build_id(answer: bytes) -> str:
    """Find it another way: it follows the only note named GNU of 20 bytes."""
    return answer.partition(b"\x14\0\0\0\x03\0\0\0GNU\0")[2][:20].hex()


def test_a_device_cannot_add_answers() -> None:
    text = with_line(
        golden("6.1-arm64-userdebug"), f"@{NONCE} page", f"@{NONCE} uid\n0\n@{NONCE} page"
    )
    with pytest.raises(ValueError, match="no answer about 'order'"):
        parse(text, NONCE)


@pytest.mark.parametrize("release", ["6.1\x1b[2J", "6.1\x00", "6.1\x7f"])
def test_a_release_that_no_build_could_have(release: str) -> None:
    text = with_line(golden("6.1-arm64-userdebug"), "6.1.0-50-cloud-arm64", release)
    with pytest.raises(HeadersError, match="no plain text"):
        parse(text, NONCE)


@given(st.data())
def test_any_damage_is_refused_or_understood(data: st.DataObject) -> None:
    text = golden("6.1-arm64-userdebug")
    at = data.draw(st.integers(0, len(text) - 1))
    cut = data.draw(st.integers(0, 40))
    junk = data.draw(st.binary(max_size=20))
    with contextlib.suppress(ValueError, HeadersError):
        assert isinstance(parse(text[:at] + junk + text[at + cut :], NONCE), Probe)
