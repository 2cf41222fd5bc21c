"""What a hostile ELF file cannot make its reader do."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.objects import elf
from droidheaders.objects.module import parse
from tests.modules import AARCH64, module
from tests.modules import elf as made_of

WHOLE = module(undefined=("first", "second"), labels={"mine": (".modinfo", 3)})


def table(names: int, size: int) -> bytes:
    """Return a file with that many symbols, whose names all end where the last one does."""
    strings = b"\0" + b"x" * size + b"\0"
    symbols = b"".join(struct.pack("<IBBHQQ", 1 + n, 0, 0, 0, 0, 0) for n in range(names))
    return made_of({".modinfo": b"a=b\0"}, bytes(24) + symbols, strings, machine=AARCH64, kind=1)


def header(data: bytes, name: str) -> int:
    """Return where the header of a section is."""
    (at,) = struct.unpack_from("<Q", data, 40)
    names = [section.name for section in elf.read(data).sections]
    return int(at) + 64 * names.index(name)


def test_sections_and_symbols_are_at_their_index() -> None:
    file = elf.read(WHOLE)
    names = [section.name for section in file.sections]
    assert (file.type, file.machine, names[:3]) == (
        elf.REL,
        AARCH64,
        ["", ".modinfo", ".gnu.linkonce.this_module"],
    )
    assert [(s.name, s.section, s.value) for s in file.symbols()] == [
        ("", elf.UNDEFINED, 0),
        ("first", elf.UNDEFINED, 0),
        ("second", elf.UNDEFINED, 0),
        ("mine", 1, 3),
    ]
    assert file.content(".modinfo").tobytes().startswith(b"license=GPL\0")
    assert file.content(".none").tobytes() == b""


def test_of_two_sections_the_first_that_has_the_flags_counts() -> None:
    at = header(WHOLE, ".modinfo")
    data = WHOLE[: at + 8] + bytes(8) + WHOLE[at + 16 :]
    assert elf.read(data).section(".modinfo") is not None
    assert elf.read(data).section(".modinfo", elf.ALLOC) is None
    assert elf.read(WHOLE).section(".modinfo", elf.ALLOC) is not None


def test_what_takes_no_place_in_the_file_is_nothing_however_large() -> None:
    at = header(WHOLE, ".modinfo")
    data = WHOLE[: at + 4] + struct.pack("<I", elf.NOBITS) + WHOLE[at + 8 : at + 32]
    data += struct.pack("<Q", 1 << 62) + WHOLE[at + 40 :]
    section = elf.read(data).section(".modinfo")
    assert section
    assert (section.size, len(section.data)) == (1 << 62, 0)
    assert not parse(data).modinfo


def test_a_name_is_read_as_far_as_any_kernel_would() -> None:
    names = [symbol.name for symbol in elf.read(table(3000, 3000)).symbols()][1:]
    assert {len(name) for name in names} == set(range(1, elf.NAME + 1))


def test_names_that_overlap_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elf, "_NAMES", 1 << 20)
    data = table(100_000, 102_000)
    tracemalloc.start()
    with pytest.raises(ValueError, match="has more than 1 MiB of names"):
        tuple(elf.read(data).symbols())
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_more_symbols_than_any_file_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elf, "_SYMBOLS", 10)
    assert len(list(elf.read(table(9, 20)).symbols())) == 10
    with pytest.raises(ValueError, match="has more than 10 symbols"):
        list(elf.read(table(10, 20)).symbols())


def test_names_that_do_not_end_are_none() -> None:
    at = header(WHOLE, ".strtab")
    (size,) = struct.unpack_from("<Q", WHOLE, at + 32)
    data = WHOLE[: at + 32] + struct.pack("<Q", size - 1) + WHOLE[at + 40 :]
    with pytest.raises(ValueError, match="its symbols have no names"):
        list(elf.read(data).symbols())


def test_a_module_has_one_table_of_symbols() -> None:
    at = header(WHOLE, ".strtab")
    data = WHOLE[: at + 4] + struct.pack("<I", elf.SYMTAB) + WHOLE[at + 8 :]
    with pytest.raises(ValueError, match="has 2 symbol tables"):
        parse(data)


@pytest.mark.parametrize(
    ("machine", "arch"),
    [(3, "x86"), (8, "mips"), (62, "x86"), (183, "arm64"), (243, "riscv"), (65278, "65278")],
)
def test_a_machine_is_called_as_the_kernel_calls_it(machine: int, arch: str) -> None:
    assert parse(module(machine=machine)).arch == arch


@given(st.binary(max_size=60), st.integers(0, 70))
def test_any_name_comes_back_when_it_is_encoded(name: bytes, at: int) -> None:
    found = elf.string(name, at)
    assert found.encode("utf-8", "surrogateescape") == name[at:].partition(b"\0")[0]
