from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from droidheaders.kernel.exports import Export
from droidheaders.objects import ksymtab
from tests.ksymtabs import SYMBOLS, Symbol, image


def expected(**changes: Any) -> dict[str, Export]:
    told: dict[str, dict[str, Any]] = {
        s.name: {"crc": s.crc, "namespace": s.namespace, "gpl": s.gpl, "module": "vmlinux"}
        for s in SYMBOLS
    }
    return {name: Export(**(export | changes)) for name, export in told.items()}


@pytest.mark.parametrize(
    ("how", "changes"),
    [
        ({}, {}),
        ({"relative_crcs": True}, {}),
        ({"crcs": False}, {"crc": None}),
        ({"namespaces": False}, {"namespace": None}),
        ({"relative": False}, {}),
        ({"relative": False, "crcs": False}, {"crc": None}),
        ({"relative": False, "namespaces": False}, {"namespace": None}),
        ({"before": b""}, {}),
    ],
)
def test_table(how: dict[str, Any], changes: dict[str, Any]) -> None:
    assert ksymtab.read(memoryview(image(**how))) == expected(**changes)


@pytest.mark.parametrize("crcs", [True, False])
def test_one_table_with_flags(crcs: bool) -> None:
    found = ksymtab.read(memoryview(image(sorted(SYMBOLS), flags=True, crcs=crcs)))
    assert found == (expected() if crcs else expected(crc=None))


def test_one_table_without_flags_tells_no_licence() -> None:
    assert ksymtab.read(memoryview(image(sorted(SYMBOLS)))) == expected(gpl=None)


def test_third_table_tells_no_licence() -> None:
    unused = [Symbol(f"a_{n}", n + 1) for n in range(100, 199)]
    found = ksymtab.read(memoryview(image([*SYMBOLS, *unused])))
    assert {n: e for n, e in found.items() if not n.startswith("a_")} == expected()
    assert found["a_150"] == Export(151, "", None, "vmlinux")


def test_zero_is_no_crc() -> None:
    symbols = [Symbol(s.name, 0) if s.name == "sym_007" else s for s in SYMBOLS]
    assert ksymtab.read(memoryview(image(symbols)))["sym_007"].crc is None


def test_exported_twice() -> None:
    """5.10's arm64 exports memcpy and five others twice."""
    found = ksymtab.read(memoryview(image(sorted([*SYMBOLS, SYMBOLS[3]], key=lambda s: s[2:1]))))
    assert found[SYMBOLS[3].name].crc == SYMBOLS[3].crc


@pytest.mark.parametrize("data", [b"", b"\0" * 5000, b"abc\0" * 5000, bytes(range(256)) * 400])
def test_no_table(data: bytes) -> None:
    with pytest.raises(ValueError, match="has no table of exported symbols"):
        ksymtab.read(memoryview(data))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged(data: st.DataObject) -> None:
    """Whatever is in it, the answer comes soon, and names are names."""
    relative = data.draw(st.booleans())
    damaged = bytearray(image(relative=relative, before=data.draw(st.binary(max_size=40))))
    for at in data.draw(st.lists(st.integers(0, len(damaged) - 9), max_size=20)):
        damaged[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
    del damaged[data.draw(st.integers(0, len(damaged))) :]
    try:
        found = ksymtab.read(memoryview(damaged))
    except ValueError as e:
        assert "has no table" in str(e)
    else:
        assert all(name.isidentifier() or "." in name or "$" in name for name in found)


@pytest.mark.parametrize(
    "unit",
    [
        b"\xfc\xff\xff\xff" + b"A\0\0\0" + b"\xf4\xff\xff\xff",
        b"\0\0\0\0\x10\0\0\0\x10\0\0\0",
        b"\0\0\x01\0\x80\xff\xff\xff" * 2,
        b"A\0AA",
    ],
)
def test_many_that_look_like_entries(unit: bytes) -> None:
    """An image that is one table, or seems to be, costs what its size does."""
    started = time.process_time()
    with pytest.raises(ValueError, match="has no table"):
        ksymtab.read(memoryview(unit * ((8 << 20) // len(unit))))
    assert time.process_time() - started < 10


def test_longest_names() -> None:
    """Names that overlap cost no more than the entries there may be."""
    names = b"A" * 510 + b"\0"
    words = bytearray()
    place = 12 * 400_000
    for number in range(400_000):
        at = 12 * number
        for field, target in enumerate((0, place + 499 - number % 500, place + 510)):
            words += (target - at - 4 * field).to_bytes(4, "little", signed=True)
    started = time.process_time()
    found = ksymtab.read(memoryview(bytes(words) + names))
    assert len(found) <= 510
    assert time.process_time() - started < 10
