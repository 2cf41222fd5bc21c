"""What archives hold besides headers: found, named, and kept from harm."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from droidheaders.headers import artifacts
from tests.objects.test_executable import elf64

FILES = {
    "Makefile": b"VERSION = 6\nPATCHLEVEL = 1\n",
    "Module.symvers": b"0x1\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n",
    ".config": b"CONFIG_MODULES=y\n",
    "scripts/Makefile.build": b"",
    "scripts/basic/fixdep": elf64(183, b"/lib/ld-linux-aarch64.so.1\0"),
    "scripts/mod/modpost": elf64(183),
    "scripts/setlocalversion": b"#!/bin/sh\n",
}


def lay_out(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_headers_alone(tmp_path: Path) -> None:
    assert artifacts.find(lay_out(tmp_path, {"include/linux/sched.h": b""})) is None


def test_a_whole_build(tmp_path: Path) -> None:
    found = artifacts.find(lay_out(tmp_path, FILES))
    assert found
    assert found.complete
    assert found.describe() == {
        "parts": ["Makefile", "scripts", "Module.symvers", ".config"],
        "tools": 2,
        "machines": ["aarch64"],
    }
    assert artifacts.inventory(found.describe()) == (
        "Makefile, scripts with 2 programs for aarch64, Module.symvers, .config"
    )
    assert set(found.foreign("x86_64")) == {"scripts/basic/fixdep", "scripts/mod/modpost"}
    assert found.foreign("aarch64") == {}


@pytest.mark.parametrize("lost", ["Makefile", "scripts/mod/modpost", "scripts/basic/fixdep"])
def test_a_part_of_one(tmp_path: Path, lost: str) -> None:
    found = artifacts.find(lay_out(tmp_path, {n: d for n, d in FILES.items() if n != lost}))
    assert found
    assert not found.complete


def test_what_is_no_program(tmp_path: Path) -> None:
    more = {
        "scripts/mod/modpost.o": elf64(62, kind=1),
        "scripts/gcc-plugins/stackleak.so": elf64(62, kind=3),
        "scripts/cut": b"\x7fELF\2\1",
        "scripts/big": b"\x7fELF\2\2" + bytes(200),
        "include/linux/odd.h": elf64(62),
    }
    found = artifacts.find(lay_out(tmp_path, FILES | more))
    assert found
    assert found.machines == ["aarch64"]


def test_programs_for_two_machines_and_for_one_without_a_name(tmp_path: Path) -> None:
    more = {"tools/objtool/objtool": elf64(62), "scripts/odd": elf64(65000)}
    found = artifacts.find(lay_out(tmp_path, FILES | more))
    assert found
    assert found.machines == ["aarch64", "machine 65000", "x86_64"]
    # A machine of which nothing is known is left to say itself that it cannot.
    assert set(found.foreign("aarch64")) == {"tools/objtool/objtool", "scripts/odd"}


def test_links_are_followed_inside_alone(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "headers", FILES)
    (tmp_path / "outside").write_bytes(elf64(62))
    (root / "scripts/linked").symlink_to(tmp_path / "outside")
    (root / "scripts/round").symlink_to(".")
    (root / "scripts/again").symlink_to("mod/modpost")
    os.mkfifo(root / "scripts/pipe")
    found = artifacts.find(root)
    assert found
    assert set(found.tools) == {"scripts/again", "scripts/basic/fixdep", "scripts/mod/modpost"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_anything_may_be_in_a_program(tail: bytes) -> None:
    place = Path(tempfile.mkdtemp())
    try:
        files = FILES | {"scripts/mod/modpost": b"\x7fELF" + tail}
        found = artifacts.find(lay_out(place, files))
        assert found
        assert artifacts.inventory(found.describe()).isprintable()
    finally:
        shutil.rmtree(place)
