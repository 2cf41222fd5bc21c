"""Build-ids out of ELF notes, architectures out of uname."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.kernel.identity import KernelIdentity, build_id_of_notes


def note(name: bytes, kind: int, description: bytes) -> bytes:
    def pad(data: bytes) -> bytes:
        return data + bytes(-len(data) % 4)

    header = struct.pack("<III", len(name), len(description), kind)
    return header + pad(name) + pad(description)


BUILD_ID = note(b"GNU\0", 3, bytes(range(20)))


def test_build_id_among_others() -> None:
    """x86 kernels have Xen notes first, and arm64 ones a property note."""
    others = (
        note(b"Xen\0", 6, b"linux\0") + note(b"Linux\0", 257, b"\0") + note(b"GNU\0", 5, b"1234")
    )
    assert build_id_of_notes(others + BUILD_ID) == bytes(range(20)).hex()
    assert build_id_of_notes(BUILD_ID) == bytes(range(20)).hex()


def test_no_build_id() -> None:
    assert build_id_of_notes(b"") == ""
    assert build_id_of_notes(note(b"Xen\0", 3, bytes(20))) == ""
    assert build_id_of_notes(BUILD_ID[:-1]) == ""
    assert build_id_of_notes(note(b"GNU\0", 3, b"tiny")) == ""


@given(st.binary(max_size=200))
def test_any_bytes(notes: bytes) -> None:
    bytes.fromhex(build_id_of_notes(notes))


@pytest.mark.parametrize(
    ("machine", "arch"),
    [
        ("aarch64", "arm64"),
        ("x86_64", "x86"),
        ("i686", "x86"),
        ("armv8l", "arm"),
        ("armv7l", "arm"),
        ("riscv64", "riscv"),
    ],
)
def test_arch_is_the_kernel_s_own_name(machine: str, arch: str) -> None:
    assert KernelIdentity("6.1.0", "#1", machine, "").arch == arch


def test_in_words_it_is_safe_for_a_terminal() -> None:
    assert "\x1b" not in str(KernelIdentity("6.1\x1b[2J", "#1", "aarch64\n", ""))
