from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.objects.executable import read_executable


def elf64(machine: int, interpreter: bytes = b"", kind: int = 2) -> bytes:
    header = struct.pack("<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, kind, machine, 1, 0, 64, 0,
                         0, 64, 56, 1, 0, 0, 0)  # fmt: skip
    segment = struct.pack(
        "<IIQQQQQQ", 3 if interpreter else 1, 4, 120, 0, 0, len(interpreter), 0, 1
    )
    return header + segment + interpreter


def test_this_python() -> None:
    found = read_executable(Path(sys.executable).resolve().read_bytes())
    machine = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout
    assert found.runs_on(machine.strip())
    assert not found.runs_on("aarch64" if machine.strip() == "x86_64" else "x86_64")


def test_a_static_program_and_a_dynamic_one() -> None:
    static = read_executable(elf64(183))
    assert (static.machine_name, static.interpreter) == ("AArch64", "")
    assert static.runs_on("aarch64")
    assert not static.runs_on("x86_64")
    assert read_executable(elf64(62, b"/system/bin/linker64\0")).interpreter == (
        "/system/bin/linker64"
    )


def test_a_kernel_runs_programs_of_32_bits_too() -> None:
    values = (b"\x7fELF", 1, 1, 1, 2, 40, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    header = struct.pack("<4sBBB9xHHIIIIIHHHHHH", *values)
    found = read_executable(header + struct.pack("<IIIIIIII", 3, 84, 0, 0, 5, 5, 4, 1) + b"/ld1\0")
    assert found.interpreter == "/ld1"
    assert found.runs_on("aarch64")
    assert not found.runs_on("x86_64")


def test_a_script() -> None:
    found = read_executable(b"#! /system/bin/sh -e\necho\n")
    assert (found.machine, found.interpreter) == (0, "/system/bin/sh")
    assert found.runs_on("anything")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is no program"),
        (b"int main;", "is no program"),
        (b"#!\n", "names no interpreter"),
        (b"\x7fELF\x02\x01", "is whole"),
        (elf64(62, kind=1), "it is not linked"),
        (elf64(62)[:100], "is cut off"),
        (elf64(62, b"/"), "has no name"),
    ],
)
def test_what_is_none(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_executable(data)


STARTS = [b"", b"\x7fELF\x02\x01", b"\x7fELF\x01\x01", b"#!"]


@given(st.binary(max_size=200), st.sampled_from(STARTS))
def test_anything_is_refused_or_read(data: bytes, start: bytes) -> None:
    try:
        read_executable(start + data)
    except ValueError as e:
        assert str(e)
