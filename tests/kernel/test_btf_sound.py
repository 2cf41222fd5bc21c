"""BTF that is given to other programs: whatever is damaged in it is noticed before."""

from __future__ import annotations

import re
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from droidheaders.kernel.btf import Btf
from droidheaders.kernel.btf_sound import kinds_of_sound
from tests.bpf_objects import KERNEL, encoded

GOOD = encoded(KERNEL)


def built(words: list[int], strings: bytes = b"\0name\0") -> bytes:
    """Return BTF of types as words, and strings."""
    types = struct.pack(f"<{len(words)}I", *words)
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return header + types + strings


def info(kind: int, vlen: int = 0) -> int:
    return kind << 24 | vlen


def test_kinds_are_told() -> None:
    own = Btf(GOOD)
    assert kinds_of_sound(GOOD) == {own.type(number).kind for number in range(1, len(own))}
    assert kinds_of_sound(built([])) == set()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        *(([1, info(kind), 2], "has no type 2,") for kind in (2, 8, 9, 10, 11, 12, 13, 18)),
        ([0, info(3), 0, 2, 1, 5], "has no type 2,"),
        ([0, info(3), 0, 1, 9, 5], "has no type 9,"),
        ([1, info(4, 1), 4, 1, 7, 0], "has no type 7,"),
        ([1, info(5, 1), 4, 1, 7, 0], "has no type 7,"),
        ([0, info(13, 1), 0, 1, 7], "has no type 7,"),
        ([1, info(14), 7, 0], "has no type 7,"),
        ([1, info(15, 1), 4, 7, 0, 4], "has no type 7,"),
        ([1, info(17), 7, 0], "has no type 7,"),
        ([6, info(4), 0], "has a string"),
        ([1, info(4, 1), 4, 6, 1, 0], "has a string"),
        ([1, info(6, 1), 4, 6, 0], "has a string"),
        ([0, info(13, 1), 0, 6, 0], "has a string"),
        ([1, info(19, 1), 8, 6, 0, 0], "has a string"),
    ],
)
def test_what_is_not_there(words: list[int], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        kinds_of_sound(built(words))


@pytest.mark.parametrize("strings", [b"", b"name\0", b"\0name", b"\0na\nme\0", b'\0na"me\0'])
def test_strings_that_are_none(strings: bytes) -> None:
    with pytest.raises(ValueError, match="has names that are none in C"):
        kinds_of_sound(built([], strings))


@settings(max_examples=300)
@given(st.data())
def test_whatever_is_sound_can_be_read(data: st.DataObject) -> None:
    """Every type, member and name of what is let through, after any change."""
    blob = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(blob) - 1))
        blob[at] = data.draw(st.integers(0, 255))
    try:
        kinds_of_sound(bytes(blob))
    except ValueError:
        return
    read = Btf(bytes(blob))
    for number in range(1, len(read)):
        read.type(number)
        for member in read.members(number):
            read.type(member.type)
        list(read.enumerators(number))
        for parameter in read.parameters(number):
            read.type(parameter)
        for kind, _, _ in read.variables(number):
            read.type(kind)
