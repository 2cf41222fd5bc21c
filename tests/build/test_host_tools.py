"""Host tools that an archive brought: run as they are, through a made-up QEMU, or not at all."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from droidheaders import equipping
from droidheaders.build import host_tools, providers, symvers
from droidheaders.build.toolchain import Toolchain
from droidheaders.cache import Bundle, Cache
from droidheaders.equipping import Wish
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.headers import artifacts
from droidheaders.headers.artifacts import Artifacts
from tests.cache.making import make
from tests.headers.test_artifacts import FILES
from tests.objects.test_executable import elf64

NAME = "the archive of 6.1.176 (aarch64)"
SCRIPT = b"#!/bin/sh\necho script $@\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """An empty cache; this host is an x86_64 one and has no program but those of /bin."""
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "h", "6", "#1", "x86_64")))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}")
    return Cache(tmp_path / "cache")


def brought(cache: Cache, files: dict[str, bytes]) -> tuple[Bundle, Artifacts]:
    bundle = make(cache, files=files)
    found = artifacts.find(bundle.headers)
    assert found
    return bundle, found


def modes(root: Path) -> dict[str, int]:
    return {
        path.relative_to(root).as_posix(): path.stat().st_mode & 0o777
        for path in root.rglob("*")
        if path.is_file()
    }


def test_programs_of_this_machine_are_copied_to_be_run(cache: Cache) -> None:
    native = {n: SCRIPT if d[:4] == b"\x7fELF" else d for n, d in FILES.items()}
    native["scripts/recordmcount"] = elf64(62)
    bundle, found = brought(cache, native)
    for emulated in (False, True):
        made = host_tools.of_archive(cache, bundle, found, emulated=emulated)
        assert (made.name, made.number, made.makefiles) == (NAME, (6, 1), bundle.headers)
    assert modes(made.scripts) == {
        "Makefile.build": 0o644,
        "basic/fixdep": 0o755,
        "mod/modpost": 0o755,
        "recordmcount": 0o755,
        "setlocalversion": 0o755,
    }
    said = subprocess.run([made.scripts / "mod/modpost", "a"], capture_output=True, check=True)
    assert said.stdout == b"script a\n"
    assert set(modes(bundle.headers).values()) == {0o444}


def test_programs_of_another_machine_run_in_qemu(cache: Cache, tmp_path: Path) -> None:
    static = {n: elf64(183) if d[:4] == b"\x7fELF" else d for n, d in FILES.items()}
    bundle, found = brought(cache, static)
    with pytest.raises(DroidheadersError, match="for aarch64, and this host is x86_64") as no:
        host_tools.of_archive(cache, bundle, found, emulated=False)
    assert no.value.hint.startswith("droidheaders kdir --host-tools=qemu")
    with pytest.raises(DroidheadersError, match="qemu-aarch64 is not on this host") as no:
        host_tools.of_archive(cache, bundle, found, emulated=True)
    assert no.value.hint.startswith("sudo apt-get install qemu-user")
    assert cache.derived.made(bundle.name) == []
    qemu = tmp_path / "bin/qemu-aarch64-static"
    qemu.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    qemu.chmod(0o755)
    made = host_tools.of_archive(cache, bundle, found, emulated=True)
    assert made.name == f"{NAME}, through QEMU"
    modpost = made.scripts / "mod/modpost"
    assert modpost.with_name("modpost.real").read_bytes() == elf64(183)
    said = subprocess.run([modpost, "-o", "a b"], capture_output=True, check=True).stdout
    assert said.decode() == f"<-0><{modpost}><{modpost}.real><-o><a b>"
    told = host_tools.told(found, made, asked=True)
    assert told == (
        f"host tools: those of {NAME}, through QEMU, as asked: programs for aarch64 that came with"
        " its headers"
    )


def test_a_machine_whose_libraries_are_not_to_be_had(cache: Cache, tmp_path: Path) -> None:
    files = FILES | {"scripts/mod/modpost": elf64(243, b"/lib/ld-linux-riscv64-lp64d.so.1\0")}
    bundle, found = brought(cache, {**files, "scripts/basic/fixdep": elf64(243)})
    qemu = tmp_path / "bin/qemu-riscv64"
    assert found.machines == ["RISC-V"]
    qemu.write_text("#!/bin/sh\n")
    qemu.chmod(0o755)
    with pytest.raises(DroidheadersError, match="RISC-V, whose libraries are not known here"):
        host_tools.of_archive(cache, bundle, found, emulated=True)


def test_half_a_build(cache: Cache) -> None:
    bundle, found = brought(cache, {n: d for n, d in FILES.items() if n != "scripts/mod/modpost"})
    with pytest.raises(
        DroidheadersError, match="holds no whole build, but Makefile, scripts with 1 "
    ):
        host_tools.of_archive(cache, bundle, found, emulated=False)
    odd = FILES | {"Makefile": b"all:\n"}
    bundle, found = brought(cache, odd)
    with pytest.raises(DroidheadersError, match="holds no whole build"):
        host_tools.of_archive(cache, bundle, found, emulated=False)


def chosen(cache: Cache, bundle: Bundle, wish: Wish) -> providers.Provider:
    toolchain = Toolchain.__new__(Toolchain)
    return equipping._provider(cache, bundle, wish, toolchain, fetch=False)


def test_nothing_from_a_device_is_run_unless_asked(
    cache: Cache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    native = FILES | {n: elf64(62) for n, d in FILES.items() if d[:4] == b"\x7fELF"}
    bundle = make(cache, files=native, artifacts={"parts": [], "tools": 2, "machines": []})
    debian = providers.Provider("Debian", (6, 1), tmp_path, tmp_path, tmp_path, "key")
    monkeypatch.setattr(providers, "of_debian", lambda *_, **__: debian)
    assert chosen(cache, bundle, Wish()) is debian
    assert capsys.readouterr().err == (
        "host tools: those of Debian; the archive brought its own for x86_64, but programs from a"
        " device are run here only when asked for: --host-tools=archive\n"
    )
    assert chosen(cache, bundle, Wish(host_tools="provider")) is debian
    assert capsys.readouterr().err == "host tools: those of Debian, as asked\n"
    assert chosen(cache, bundle, Wish(host_tools="archive")).makefiles == bundle.headers
    assert "as asked: programs for x86_64" in capsys.readouterr().err


def test_where_there_is_no_provider_the_archive_is_named(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "SUITES", {})
    for machine, way in ((62, "archive"), (183, "qemu")):
        tools = {n: elf64(machine) for n, d in FILES.items() if d[:4] == b"\x7fELF"}
        bundle = make(cache, files=FILES | tools, artifacts={"parts": []}, build=machine)
        with pytest.raises(DroidheadersError, match="Debian has no Makefiles") as no:
            chosen(cache, bundle, Wish())
        assert no.value.hint.endswith(f"--host-tools={way} to run what the archive itself brought")


def test_what_contradicts_itself(cache: Cache) -> None:
    bundle = make(cache, files=FILES)
    with pytest.raises(UsageError, match="--source and --host-tools=archive each give Makefiles"):
        chosen(cache, bundle, Wish(source=Path("x"), host_tools="archive"))
    bare = make(cache, "6.1.177")
    with pytest.raises(DroidheadersError, match="holds headers, and no host tools"):
        chosen(cache, bare, Wish(host_tools="qemu"))


def test_the_symvers_in_an_archive_are_official(
    cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    known = symvers.of(cache, make(cache, files=FILES))
    assert known.symbols["printk"].kind == "official"
    assert known.symbols["printk"].export.crc == 1
    damaged = make(cache, files=FILES | {"Module.symvers": b"\x00not one\n"})
    assert not symvers.of(cache, damaged).symbols
    assert "warning: " in capsys.readouterr().err
