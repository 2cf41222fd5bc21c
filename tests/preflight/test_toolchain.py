"""Compilers on a PATH made up for the test, and kernels that were built with others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from droidheaders.build import compilers
from droidheaders.build.compilers import find
from droidheaders.kernel.compiler import Compiler, parse
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.preflight.answer import Answer, Report
from droidheaders.preflight.toolchain import judge
from tests.compilers import GCC_12, R450784E, R487747C, Install, installer

install = installer


def about(
    text: str,
    *options: str,
    release: str = "6.1.75",
    machine: str = "aarch64",
    known: bool = True,
) -> Report:
    lines = [f"CONFIG_{option}=y" for option in ("MODULES", *options)]
    config = Kconfig.parse("\n".join(lines)) if known else None
    kernel = KernelIdentity(release, "#1", machine, "")
    return judge({"/proc/version": parse(text)}, kernel, config)


def answer(report: Report, name: str) -> Answer:
    return next(detail for detail in report.details if detail.name == name)


def test_the_exact_version_is_found_by_its_name(install: Install) -> None:
    install("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-gcc (Debian 13.2.0-4) 13.2.0")
    install("aarch64-linux-gnu-gcc-12", "aarch64-linux-gnu-gcc-12 (Debian 12.2.0-14) 12.2.0")
    install("gcc-12", GCC_12)
    install("aarch64-linux-gnu-gcc-ar-12", GCC_12)
    report = about(GCC_12)
    assert report.answer == Answer(
        "compiler",
        "yes",
        "gcc 12.2.0: aarch64-linux-gnu-gcc-12 is 12.2.0",
        "make ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC=aarch64-linux-gnu-gcc-12",
    )
    assert [(h["name"], h["version"], h["exact"]) for h in report.facts["host"]] == [
        ("aarch64-linux-gnu-gcc-12", "12.2.0", True),
        ("aarch64-linux-gnu-gcc", "13.2.0", False),
    ]


@pytest.mark.parametrize(
    ("names", "text", "release", "machine", "use"),
    [
        (["gcc"], GCC_12, "6.1", "x86_64", ""),
        (["gcc-12"], GCC_12, "6.1", "x86_64", "CC=gcc-12"),
        (["x86_64-linux-gnu-gcc"], GCC_12, "6.1", "x86_64", "CROSS_COMPILE=x86_64-linux-gnu-"),
        (
            ["arm-linux-gnueabihf-gcc"],
            GCC_12,
            "6.1",
            "armv7l",
            "ARCH=arm CROSS_COMPILE=arm-linux-gnueabihf-",
        ),
        (
            ["riscv64-linux-gnu-gcc"],
            GCC_12,
            "6.1",
            "riscv64",
            "ARCH=riscv CROSS_COMPILE=riscv64-linux-gnu-",
        ),
        (["clang", "ld.lld"], R450784E, "6.1", "aarch64", "ARCH=arm64 LLVM=1"),
        (["clang", "ld.lld"], R450784E, "6.1", "x86_64", "LLVM=1"),
        (["clang-14", "ld.lld-14"], R450784E, "6.1", "aarch64", "ARCH=arm64 LLVM=-14"),
        (
            ["clang-14", "ld.lld-14"],
            R450784E,
            "5.15.94",
            "aarch64",
            "ARCH=arm64 LLVM=1 CC=clang-14 LD=ld.lld-14",
        ),
        (
            ["clang", "ld.lld"],
            R450784E,
            "5.10.107",
            "aarch64",
            "ARCH=arm64 LLVM=1 LLVM_IAS=1 CROSS_COMPILE=aarch64-linux-gnu-",
        ),
        (["clang", "ld.lld"], R450784E, "5.10.107", "x86_64", "LLVM=1 LLVM_IAS=1"),
        (
            ["clang-14", "ld.lld-14"],
            R450784E,
            "4.19.157",
            "aarch64",
            "ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CLANG_TRIPLE=aarch64-linux-gnu-"
            " CC=clang-14 LD=ld.lld-14",
        ),
        (
            ["clang", "ld.lld"],
            "clang version 14.0.6 (based on LLVM 14)",
            "4.9.118",
            "aarch64",
            "ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CLANG_TRIPLE=aarch64-linux-gnu- CC=clang",
        ),
        (["clang", "ld.lld"], R450784E, "unheard-of", "aarch64", "ARCH=arm64 LLVM=1"),
    ],
)
def test_what_to_type(
    install: Install, names: list[str], text: str, release: str, machine: str, use: str
) -> None:
    for name in names:
        install(name, text)
    report = about(text, release=release, machine=machine)
    assert report.facts["use"] == use
    assert answer(report, "host").hint == f"make {use}".rstrip()
    assert report.answer.verdict == "yes"


def test_a_32_bit_shell_of_a_64_bit_kernel(install: Install) -> None:
    install("aarch64-linux-gnu-gcc", GCC_12)
    report = about(GCC_12, "ARM64", machine="armv8l")
    assert report.facts["use"] == "ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-"


def test_androids_own_clang_behind_another_on_path(install: Install) -> None:
    install("clang", "Debian clang version 14.0.6")
    install("ld.lld", "Debian LLD 14.0.6")
    own = install("clang", R450784E, "clang-r450784e/bin")
    install("ld.lld", "LLD 14.0.7", "clang-r450784e/bin")
    report = about(R450784E)
    assert report.facts["use"] == f"ARCH=arm64 LLVM={own.parent}/"
    assert [host["exact"] for host in report.facts["host"]] == [True, True]
    older = about(R450784E, release="5.15")
    assert older.facts["use"] == f"ARCH=arm64 LLVM=1 CC={own} LD={own.parent}/ld.lld"


def test_the_name_that_has_its_linker(install: Install) -> None:
    """Debian's packages clang and lld-14, without lld."""
    real = install("clang-14", "Debian clang version 14.0.6")
    install("ld.lld-14", "Debian LLD 14.0.6")
    (real.parent / "clang").symlink_to(real)
    assert about("clang version 14.0.6, LLD 14.0.6").facts["use"] == "ARCH=arm64 LLVM=-14"


def test_a_clang_without_its_linker(install: Install) -> None:
    install("clang", "Debian clang version 14.0.6")
    host = answer(about("clang version 14.0.6, LLD 14.0.6"), "host")
    assert (host.verdict, host.because) == ("no", "clang is 14.0.6, without its ld.lld")
    assert host.hint == "sudo apt-get install clang-14 lld-14 llvm-14"
    other = about("clang version 17.0.2, LLD 17.0.2")
    assert answer(other, "host").hint == "sudo apt-get install clang-17 lld-17 llvm-17"
    assert other.facts["use"] == ""


def test_an_older_kernel_that_gnu_ld_has_linked_needs_no_lld(install: Install) -> None:
    install("clang", "Debian clang version 14.0.6")
    for linker, verdict in (("GNU ld (x) 2.27", "yes"), ("LLD 14.0.6", "no")):
        report = about(f"clang version 14.0.6, {linker}", release="4.14.190")
        assert answer(report, "host").verdict == verdict
        assert ("CLANG_TRIPLE=" in report.facts["use"]) == (verdict == "yes")


@pytest.mark.parametrize(
    ("text", "machine", "hint"),
    [
        (GCC_12, "aarch64", "sudo apt-get install gcc-12-aarch64-linux-gnu"),
        (GCC_12, "x86_64", "sudo apt-get install gcc-12"),
        (GCC_12, "armv7l", "sudo apt-get install gcc-12-arm-linux-gnueabi"),
        (GCC_12, "riscv64", "sudo apt-get install gcc-12-riscv64-linux-gnu"),
        ("clang version 17.0.2", "aarch64", "sudo apt-get install clang-17 lld-17 llvm-17"),
    ],
)
def test_nothing_here(install: Install, text: str, machine: str, hint: str) -> None:
    report = about(text, machine=machine)
    assert answer(report, "host").verdict == "no"
    assert answer(report, "host").hint == hint
    assert answer(report, "mismatch").verdict == "no"
    assert report.answer.verdict == "no"
    assert report.facts["host"] == []
    assert report.facts["use"] == ""


def test_an_arm64_host_has_a_gcc_of_its_own(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "h", "6", "#1", "aarch64")))
    install("gcc", GCC_12)
    assert about(GCC_12).answer.verdict == "yes"
    there = answer(about(GCC_12, machine="x86_64"), "host")
    assert there.hint == "sudo apt-get install gcc-12-x86-64-linux-gnu"


def test_hints_for_what_debian_has_not(install: Install) -> None:
    assert "clang-r450784e of https://android" in answer(about(R450784E), "host").hint
    assert "gcc 4.9" in answer(about("gcc version 4.9.x (GCC)"), "host").hint
    old = "Android (4691093 based on r316199) clang version 6.0.2 (https://x)"
    assert answer(about(old), "host").hint.startswith("put clang-r316199 of https://android")


@pytest.mark.parametrize(
    ("here", "built_by", "options", "verdict", "says"),
    [
        (R487747C, R450784E, [], "yes", "no option"),
        (R487747C, R450784E, ["LTO_CLANG"], "risky", "LTO_CLANG: ld.lld"),
        (R487747C, R450784E, ["SHADOW_CALL_STACK"], "risky", "SHADOW_CALL_STACK: "),
        (R487747C, R450784E, ["CFI_CLANG"], "risky", "CFI_CLANG: both compilers must hash"),
        (R487747C, R450784E, ["CFI"], "risky", "CFI: both compilers must hash"),
        (R450784E, R487747C, [], "risky", "clang 14.0.7 may refuse flags"),
        (R450784E, R450784E, ["CFI_CLANG", "LTO_CLANG"], "yes", "the same version"),
        # Debian's clang 14 has no kcfi, Android's has.
        ("Debian clang version 14.0.6", R450784E, ["CFI_CLANG"], "no", "-fsanitize=kcfi"),
        ("clang version 16.0.6", R450784E, ["CFI_CLANG"], "risky", "hash types alike"),
        (GCC_12, "gcc (GCC) 11.4.0", [], "yes", "no option"),
        (GCC_12, "gcc (GCC) 11.4.0", ["GCC_PLUGINS"], "yes", "no option"),
        (GCC_12, "gcc (GCC) 11.4.0", ["GCC_PLUGIN_STACKLEAK"], "no", "GCC_PLUGIN_STACKLEAK: a"),
        (GCC_12, "gcc (GCC) 12.2.1", ["GCC_PLUGIN_STACKLEAK"], "no", "a plugin works in the one"),
        (GCC_12, GCC_12, ["GCC_PLUGIN_STACKLEAK"], "yes", "the same version"),
        (GCC_12, "gcc (GCC) 11.4.0", ["RANDSTRUCT"], "risky", "RANDSTRUCT: "),
        (GCC_12, "gcc (GCC) 11.4.0", ["KASAN", "KASAN_GENERIC"], "risky", "KASAN: "),
        (GCC_12, "gcc (GCC) 13.2.0", [], "risky", "gcc 12.2.0 may refuse flags"),
    ],
)
def test_what_another_version_breaks(
    install: Install, here: str, built_by: str, options: list[str], verdict: str, says: str
) -> None:
    install("clang" if "clang" in here else "aarch64-linux-gnu-gcc", here)
    install("ld.lld")
    mismatch = answer(about(built_by, *options), "mismatch")
    assert mismatch.verdict == verdict
    assert says in mismatch.because


def test_older_cfi_checks_through_jump_tables(install: Install) -> None:
    install("clang", R487747C)
    install("ld.lld")
    mismatch = answer(about(R450784E, "CFI_CLANG", release="5.15.94"), "mismatch")
    assert "jump tables" in mismatch.because


def test_without_a_configuration(install: Install) -> None:
    install("aarch64-linux-gnu-gcc", GCC_12)
    assert answer(about("gcc (GCC) 11.4.0", known=False), "mismatch").verdict == "unknown"
    assert answer(about(GCC_12, known=False), "mismatch").verdict == "yes"


def test_nothing_names_the_compiler(install: Install) -> None:
    install("gcc", GCC_12)
    for sources in ({}, {"/proc/version": parse("")}):
        report = judge(sources, KernelIdentity("6.1", "#1", "x86_64", ""), None)
        assert [detail.verdict for detail in report.details] == ["unknown"] * 3
        assert report.answer.name == "compiler"
        assert report.answer.verdict == "unknown"


def test_sources_that_disagree(install: Install) -> None:
    sources = {
        "/proc/version": parse(R450784E),
        "IKCONFIG": parse("clang version 10.0.7 for Android NDK"),
    }
    report = judge(sources, KernelIdentity("6.1", "#1", "aarch64", ""), None)
    identity = answer(report, "identity")
    assert identity.verdict == "risky"
    assert "clang 14.0 by /proc/version, clang 10.0 by IKCONFIG" in identity.because
    assert report.facts["version"] == "14.0.7"
    assert report.facts["sources"]["IKCONFIG"] == "clang version 10.0.7 for Android NDK"


def test_the_linker_may_come_from_another_source(install: Install) -> None:
    sources = {
        "/proc/version": parse("clang version 14.0.6"),
        "IKCONFIG": Compiler("clang", (14, 0, 6), "LLD 14.0.6", ""),
    }
    report = judge(sources, KernelIdentity("6.1", "#1", "aarch64", ""), None)
    assert report.facts["linker"] == "LLD 14.0.6"
    assert report.facts["sources"]["IKCONFIG"] == "clang 14.0.6"
    because = "clang 14.0.6, linked by LLD 14.0.6, by /proc/version and IKCONFIG"
    assert answer(report, "identity").because == because


def test_programs_that_are_no_compiler(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compilers, "_SECONDS", 0.5)
    install("gcc", "gcc (GCC) 12.2.0").write_text("not a program\n")
    install("gcc-12").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    install("gcc-11", "clang version 14.0.6")
    install("gcc-10").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "bin/gcc-9").mkdir()
    assert find(parse(GCC_12), "x86") == ()


def test_few_programs_are_asked(install: Install, tmp_path: Path) -> None:
    for major in range(5, 15):
        path = install(f"gcc-{major}")
        path.write_text(f"#!/bin/sh\necho {major} >>{tmp_path}/asked\necho gcc '(GCC)' {major}.1.0")
    found = find(parse(GCC_12), "x86")
    assert [host.name for host in found] == ["gcc-12", "gcc-11", "gcc-13", "gcc-10"]
    assert sorted((tmp_path / "asked").read_text().split()) == ["10", "11", "12", "13"]


def test_ccache_is_no_compiler(install: Install, tmp_path: Path) -> None:
    ccache = install("ccache", "ccache version 4.8", "cc")
    (ccache.parent / "gcc-12").symlink_to(ccache)
    behind = install("gcc-12", GCC_12)
    # ccache comes first on PATH, so that the compiler has to be named whole.
    assert [(host.name, host.path) for host in find(parse(GCC_12), "x86")] == [
        (str(behind), str(behind))
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=80), st.text(max_size=20), st.text(max_size=10), st.text(max_size=20))
def test_text_from_a_device_is_made_safe(
    install: Install, compiler: str, release: str, machine: str, source: str
) -> None:
    sources = {source: parse(f"clang version 14.0.6 {compiler}"), "b": parse(compiler)}
    report = judge(sources, KernelIdentity(release, "#1", machine, ""), None)
    said = [text for a in (report.answer, *report.details) for text in (a.because, a.hint)]
    said += [report.facts["use"], report.facts["linker"], *report.facts["sources"].values()]
    assert all(text.isprintable() for text in said)
