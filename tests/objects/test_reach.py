from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from droidheaders.objects.bpf import Code, Function, Instruction
from droidheaders.objects.elf import Symbol
from droidheaders.objects.reach import reached

EXIT = (0x95, 0, 0, 0, 0)


def run(
    *instructions: tuple[int, int, int, int, int],
    values: dict[int, int] | None = None,
    externs: dict[str, int] | None = None,
    references: dict[int, Symbol] | None = None,
) -> set[int]:
    code = Code("x", tuple(Instruction(*one) for one in instructions), references or {})
    return reached(code, Function("f", 1, 0, len(instructions)), values or {}, externs or {})


@pytest.mark.parametrize(
    ("value", "found"), [(0, {0, 1, 3}), (1, {0, 1, 2, 3}), (None, {0, 1, 2, 3})]
)
def test_a_relocated_constant_decides_a_branch(value: int | None, found: set[int]) -> None:
    """r1 = 7, which a relocation makes 0 or 1; if r1 == 0 goto +1."""
    values = {} if value is None else {0: value}
    code = ((0xB7, 1, 0, 0, 7), (0x15, 1, 0, 1, 0), (0xB7, 0, 0, 0, 0), EXIT)
    assert run(*code, values=values) == found


def test_after_a_call_nothing_is_known_of_what_it_may_change() -> None:
    code = ((0xB7, 1, 0, 0, 0), (0xB7, 6, 0, 0, 0), (0x85, 0, 0, 0, 35))
    skipped = ((0x15, 1, 0, 1, 0), (0xB7, 0, 0, 0, 0), (0x15, 6, 0, 1, 0), (0xB7, 0, 0, 0, 0), EXIT)
    assert run(*code, *skipped) == {0, 1, 2, 3, 4, 5, 7}


def test_paths_that_meet_know_what_both_know() -> None:
    """r2 is 1 or 2 where they meet, r3 is 5 on both."""
    code = (
        (0xB7, 3, 0, 0, 5),
        (0x15, 1, 0, 2, 0),
        (0xB7, 2, 0, 0, 1),
        (0x05, 0, 0, 1, 0),
        (0xB7, 2, 0, 0, 2),
        (0x15, 2, 0, 1, 1),
        (0x15, 3, 0, 1, 5),
        (0xB7, 0, 0, 0, 0),
        EXIT,
    )
    assert run(*code) == set(range(9))
    assert run((0xB7, 3, 0, 0, 5), *code[6:]) == {0, 1, 3}


@pytest.mark.parametrize(
    ("operation", "first", "second", "result"),
    [
        (0x07, 2, -3, -1),
        (0x67, 1, 63, -(1 << 63)),
        (0xC7, -8, 1, -4),
        (0x77, 8, 1, 4),
        (0x57, 6, 3, 2),
        (0x04, -1, 1, 0),  # 32 bits
        (0x87, 5, 0, -5),
    ],
)
def test_arithmetic_is_the_kernels(operation: int, first: int, second: int, result: int) -> None:
    high, low = result >> 32 & 0xFFFFFFFF, result & 0xFFFFFFFF
    code = (
        (0xB7, 1, 0, 0, first),
        (operation, 1, 0, 0, second),
        (0x18, 2, 0, 0, low),
        (0, 0, 0, 0, high),
        (0x1D, 1, 2, 1, 0),  # if r1 == r2 goto +1
        (0xB7, 0, 0, 0, 0),
        EXIT,
    )
    assert run(*code) == {0, 1, 2, 4, 6}


@pytest.mark.parametrize(("code", "taken"), [(0xC5, True), (0xA5, False), (0x65, False)])
def test_comparisons_have_signs(code: int, taken: bool) -> None:
    """If r1 < 1, as signed and as unsigned; if r1 > 1, as signed."""
    found = run((0xB7, 1, 0, 0, -1), (code, 1, 0, 1, 1), (0xB7, 0, 0, 0, 0), EXIT)
    assert (2 not in found) is taken


def test_an_option_is_known_when_it_is_loaded() -> None:
    symbol = Symbol("CONFIG_HZ", 0, 1, 0, 0, 0)
    code = (
        (0x18, 1, 0, 0, 0),
        (0, 0, 0, 0, 0),
        (0x61, 1, 1, 0, 0),
        (0x15, 1, 0, 1, 250),
        (0xB7, 0, 0, 0, 0),
        EXIT,
    )
    assert run(*code, externs={"CONFIG_HZ": 250}, references={0: symbol}) == {0, 2, 3, 5}
    assert run(*code, references={0: symbol}) == {0, 2, 3, 4, 5}


def test_loops_end() -> None:
    assert run((0xB7, 1, 0, 0, 0), (0x07, 1, 0, 0, 1), (0xA5, 1, 0, -2, 1000), EXIT) == {0, 1, 2, 3}


@settings(deadline=None)
@given(chance=st.randoms(use_true_random=False))
def test_any_instructions_end(chance: random.Random) -> None:
    code = [
        (chance.randrange(256), chance.randrange(16), chance.randrange(16), offset, number)
        for _ in range(chance.randrange(60))
        for offset, number in [struct.unpack("<hi", chance.randbytes(6))]
        for offset in [offset % 64 - 32]
    ]
    assert run(*code) <= set(range(len(code)))
