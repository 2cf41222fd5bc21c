"""The BPF loader as this host builds it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from droidheaders.debian.arch import TRIPLE
from droidheaders.debian.sysroot import sysroot
from droidheaders.headers.clang import Clang
from droidheaders.run import loader
from droidheaders.run.tools import FLAGS, compiler
from droidheaders.shipped import emulator_dir
from tests.run.test_prober import MACHINE, cache

__all__ = ["cache"]

SIZE = 1_200_000
PAGE = 16 << 10


def check(data: bytes, arch: str) -> None:
    assert len(data) <= SIZE
    assert int.from_bytes(data[18:20], "little") == MACHINE[arch]
    table = int.from_bytes(data[32:40], "little")
    for at in range(table, table + 56 * int.from_bytes(data[56:58], "little"), 56):
        kind = int.from_bytes(data[at : at + 4], "little")
        assert kind not in (2, 3)  # PT_DYNAMIC, PT_INTERP: it is static
        if kind == 1:  # PT_LOAD
            assert int.from_bytes(data[at + 48 : at + 56], "little") >= PAGE


@pytest.mark.parametrize("arch", MACHINE)
def test_a_static_program_that_is_built_once(arch: str, cache: Path) -> None:
    place = loader.build(arch)
    check(place.read_bytes(), arch)
    place.write_bytes(b"as it was left")
    assert loader.build(arch) == place
    assert place.read_bytes() == b"as it was left"


def test_it_is_built_of_its_files_and_not_of_their_place(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = loader.build("x86_64")
    shutil.copytree(emulator_dir() / "bpf", tmp_path / "bpf")
    monkeypatch.setattr(loader, "emulator_dir", lambda: tmp_path)
    assert loader.build("x86_64") == first
    with (tmp_path / "bpf/loader/loader.h").open("a") as header:
        header.write("\n")
    assert loader.build("x86_64") != first


@pytest.mark.parametrize("arch", MACHINE)
def test_clang_builds_it_too(arch: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clang = Clang.find()
    assert clang
    if not shutil.which("ld.lld"):
        pytest.skip("no lld: sudo apt-get install lld")
    monkeypatch.setattr("droidheaders.run.tools.shutil.which", lambda name: None)
    assert compiler(arch, "it")[0] == clang.path
    check(loader.build(arch).read_bytes(), arch)


@pytest.mark.parametrize("arch", MACHINE)
def test_no_compiler_has_anything_to_say_about_it(arch: str) -> None:
    sources = sorted((emulator_dir() / "bpf/loader").glob("*.c"))
    clang = Clang.find()
    assert clang
    for command in (compiler(arch, "it"), [clang.path, f"--target={TRIPLE[arch]}"]):
        words = [*command, f"--sysroot={sysroot(arch)}", *FLAGS, "-Wall", "-Wextra", "-Werror"]
        words += ["-fsyntax-only", *map(str, sources)]
        if command[0] == clang.path:
            words += ["-Wno-unused-command-line-argument"]
        subprocess.run(words, check=True)
