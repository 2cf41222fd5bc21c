"""What getprop prints, and what becomes of it on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.kernel.properties import parse

LISTED = """\
[init.svc.adbd]: [running]
[persist.example.motd]: [first
second [with brackets]

fourth]
[persist.x]: []
[ro.boot.note]: [a]: [b]
[ro.build.type]: [user]
"""
PROPERTIES = {
    "init.svc.adbd": "running",
    "persist.example.motd": "first\nsecond [with brackets]\n\nfourth",
    "persist.x": "",
    "ro.boot.note": "a]: [b",
    "ro.build.type": "user",
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_windows_makes_of_it(end: str, encoding: str) -> None:
    assert parse(LISTED.replace("\n", end).encode(encoding)) == PROPERTIES


def test_what_was_cut_off_is_left_out() -> None:
    for end in range(len(LISTED)):
        found = parse(LISTED[:end].encode())
        assert list(found) == list(PROPERTIES)[: len(found)]
        whole = [*found.items()][:-1]
        assert set(whole) <= set(PROPERTIES.items())


def test_what_is_around_it() -> None:
    typed = "* daemon started successfully\n$ getprop\n[a]: [1]\nWARNING: linker\n[b]: [2]\n$ "
    assert parse(typed.encode()) == {"a": "1", "b": "2"}


def test_an_entry_that_a_value_forges_does_not_replace_another() -> None:
    listed = b"[debug.z]: [x]\n[ro.debuggable]: [1]\n[ro.debuggable]: [0]\n"
    assert parse(listed) == {"debug.z": "x", "ro.debuggable": "0"}


@pytest.mark.parametrize("data", [b"", b"[", b"[a]: [", b"\xff\xfe", b"[a b]: [c]\n", b"\0\0\0"])
def test_nothing(data: bytes) -> None:
    assert parse(data) == {}


@pytest.mark.parametrize("piece", [b"[a]: [", b"]\n", b"[a]: [b\n", b"\r", b"\r\r\r\n", b"["])
def test_megabytes_of_anything_end(piece: bytes) -> None:
    assert len(parse(piece * ((8 << 20) // len(piece)))) <= 1


NAMES = st.from_regex(r"[a-z][a-zA-Z0-9._:@-]{0,30}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")).filter(
    lambda value: "]: [" not in value
)


@given(st.dictionaries(NAMES, VALUES), st.sampled_from(["utf-8", "utf-16"]))
def test_what_getprop_prints_is_read_again(properties: dict[str, str], encoding: str) -> None:
    listed = "".join(f"[{name}]: [{value}]\n" for name, value in properties.items())
    assert parse(listed.encode(encoding)) == properties


@given(st.binary(max_size=300))
def test_any_bytes_are_taken(data: bytes) -> None:
    found = parse(b"[a]: [b]\n" + data + b"\n[z]: [b]\n")
    assert "a" in found
    assert found["z"] == "b"
