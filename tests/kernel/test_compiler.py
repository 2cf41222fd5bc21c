"""Compilers as banners, configurations, headers and object files name them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.kernel.compiler import (
    Compiler,
    disagreement,
    of_banner,
    of_comment,
    of_compile_h,
    of_config,
    parse,
)

URL = "https://android.googlesource.com/toolchain/llvm-project"
DEBIAN = "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"
R450784E = f"Android (8508608, based on r450784e) clang version 14.0.7 ({URL} 4c603efb0cca)"


@pytest.mark.parametrize(
    ("text", "family", "version", "linker"),
    [
        # compile.h had the last line of `gcc -v`, `clang -v`, trailing blank included.
        ("gcc version 4.9.x-google 20140827 (prerelease) (GCC) ", "gcc", (4, 9), ""),
        ("gcc version 4.9 20150123 (prerelease) (GCC)", "gcc", (4, 9), ""),
        ("gcc version 8.2.0 (crosstool-NG 1.20.0)", "gcc", (8, 2, 0), ""),
        ("gcc version 7.5.0 (Linaro GCC 7.5-2019.12)", "gcc", (7, 5, 0), ""),
        ("gcc version 10.2.1 20210110 (Debian 10.2.1-6)", "gcc", (10, 2, 1), ""),
        (
            "Android clang version 5.0.300080 (based on LLVM 5.0.300080)",
            "clang",
            (5, 0, 300080),
            "",
        ),
        (
            "Android clang version 3.8.256229  (based on LLVM 3.8.256229)",
            "clang",
            (3, 8, 256229),
            "",
        ),
        ("clang version 8.0.12 (based on LLVM 8.0.12svn)", "clang", (8, 0, 12), ""),
        (
            "Android (4691093 based on r316199) clang version 6.0.2 (https://android.googlesource.com"
            "/toolchain/clang 183abd29fc49) (based on LLVM 6.0.2svn)",
            "clang",
            (6, 0, 2),
            "",
        ),
        ("clang version 10.0.7 for Android NDK", "clang", (10, 0, 7), ""),
        ("Snapdragon LLVM ARM Compiler 4.0.3 (based on llvm.org 4.0+)", "clang", (4, 0, 3), ""),
        ("Snapdragon LLVM ARM Compiler 10.0.0", "clang", (10, 0, 0), ""),
        # Since 5.8 the first line of --version, and the linker's.
        (f"{R450784E}, LLD 14.0.7", "clang", (14, 0, 7), "LLD 14.0.7"),
        (
            f"Android (7485623, based on r416183b1) clang version 12.0.7 ({URL} c935d99d7cf2),"
            " LLD 12.0.7 (/buildbot/src/android/llvm-r416183/out/llvm-project/lld c935d99d7cf2)",
            "clang",
            (12, 0, 7),
            "LLD 12.0.7",
        ),
        (
            "Android (10087095, +pgo, +bolt, +lto, -mlgo, based on r487747c) clang version 17.0.2"
            f" ({URL} d9f89f4d1666), LLD 17.0.2",
            "clang",
            (17, 0, 2),
            "LLD 17.0.2",
        ),
        (
            "ClangBuiltLinux clang version 14.0.6 (https://github.com/llvm/llvm-project.git"
            " f28c006a5895), LLD 14.0.6",
            "clang",
            (14, 0, 6),
            "LLD 14.0.6",
        ),
        (
            "Neutron clang version 18.0.0git (https://github.com/llvm/llvm-project ca5d34ec7186)"
            ", Neutron LLD 18.0.0 (https://github.com/llvm/llvm-project ca5d34ec7186)",
            "clang",
            (18, 0, 0),
            "LLD 18.0.0",
        ),
        (
            "Proton clang version 13.0.0 (https://github.com/llvm/llvm-project b4fd512c36ca),"
            " GNU ld (GNU Binutils) 2.36.1",
            "clang",
            (13, 0, 0),
            "GNU ld 2.36.1",
        ),
        ("Debian clang version 14.0.6, Debian LLD 14.0.6", "clang", (14, 0, 6), "LLD 14.0.6"),
        (
            "Ubuntu clang version 18.1.3 (1ubuntu1), Ubuntu LLD 18.1.3",
            "clang",
            (18, 1, 3),
            "LLD 18.1.3",
        ),
        (
            f"{DEBIAN}, GNU ld (GNU Binutils for Debian) 2.40",
            "gcc",
            (12, 2, 0),
            "GNU ld 2.40",
        ),
        (
            "aarch64-linux-gnu-gcc-13 (Ubuntu 13.2.0-23ubuntu4) 13.2.0, GNU ld (GNU Binutils for"
            " Ubuntu) 2.42",
            "gcc",
            (13, 2, 0),
            "GNU ld 2.42",
        ),
        (
            "aarch64-none-linux-gnu-gcc (GNU Toolchain for the A-profile Architecture 10.3-2021.07"
            " (arm-10.29)) 10.3.1 20210621, GNU ld (GNU Toolchain for the A-profile Architecture"
            " 10.3-2021.07 (arm-10.29)) 2.36.1.20210621",
            "gcc",
            (10, 3, 1),
            "GNU ld 2.36.1",
        ),
        (
            "gcc (GCC) 8.5.0 20210514 (Red Hat 8.5.0-20), GNU ld version 2.30-123.el8",
            "gcc",
            (8, 5, 0),
            "GNU ld 2.30",
        ),
        ("aarch64-linux-android-gcc (GCC) 4.9.x 20150123 (prerelease)", "gcc", (4, 9), ""),
        ("hppa-linux-gcc (GCC) 12.1.0", "gcc", (12, 1, 0), ""),
        ("/opt/cross/bin/aarch64-linux-gnu-gcc (GCC) 12.1.0", "gcc", (12, 1, 0), ""),
        ("gcc.real (Ubuntu 9.4.0-1ubuntu1~20.04.2) 9.4.0", "gcc", (9, 4, 0), ""),
        ("x86_64-conda-linux-gnu-cc (conda-forge gcc 12.1.0-17) 12.1.0", "gcc", (12, 1, 0), ""),
        (
            "gcc (GCC) 14.2.1 20240910, mold 2.34.1 (compatible with GNU ld)",
            "gcc",
            (14, 2, 1),
            "mold 2.34.1",
        ),
        # .comment
        ("GCC: (Debian 12.2.0-14) 12.2.0", "gcc", (12, 2, 0), ""),
        ("GCC: (crosstool-NG crosstool-ng-1.22.0-80-g6c4433a5) 5.2.0", "gcc", (5, 2, 0), ""),
        (
            "GCC: (crosstool-NG linaro-1.13.1-4.8-2014.04 - Linaro GCC 4.8-2014.04) 4.8.3 20140401"
            " (prerelease)",
            "gcc",
            (4, 8, 3),
            "",
        ),
        ("Linker: LLD 14.0.7", "", (), "LLD 14.0.7"),
        # ld --version
        ("GNU ld (GNU Binutils for Debian) 2.40", "", (), "GNU ld 2.40"),
        ("Debian LLD 14.0.6 (compatible with GNU linkers)", "", (), "LLD 14.0.6"),
        ("GNU gold (GNU Binutils for Debian 2.40) 1.16", "", (), "GNU gold 1.16"),
        # What is none, or not whole.
        ("", "", (), ""),
        ("rustc 1.78.0 (9b00956e5 2024-04-29)", "", (), ""),
        ("gcc-12 (Debian 12.2.0-14", "", (), ""),
        ("clang version", "", (), ""),
        ("LLD", "", (), "LLD"),
    ],
)
def test_parse(text: str, family: str, version: tuple[int, ...], linker: str) -> None:
    assert parse(text) == Compiler(family, version, linker, text.strip())


@pytest.mark.parametrize(
    ("banner", "text"),
    [
        (
            "Linux version 6.1.0-50-cloud-arm64 (debian-kernel@lists.debian.org) (gcc-12 (Debian"
            " 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP Debian"
            " 6.1.176-1 (2026-07-02)",
            f"{DEBIAN}, GNU ld (GNU Binutils for Debian) 2.40",
        ),
        (
            "Linux version 5.10.107-android13-4-00003-g1 (build-user@build-host)"
            f" ({R450784E}, LLD 14.0.7) #1 SMP PREEMPT Thu May 19 07:09:42 UTC 2022",
            f"{R450784E}, LLD 14.0.7",
        ),
        (
            "<5>[    0.000000] Linux version 3.18.31+ (build-user@build-host) (gcc version"
            " 4.9.x-google 20140827 (prerelease) (GCC) ) #1 SMP PREEMPT Tue Dec 13 10:31:57 2016",
            "gcc version 4.9.x-google 20140827 (prerelease) (GCC)",
        ),
        ("Linux version 6.1", None),
        ("", None),
    ],
)
def test_of_banner(banner: str, text: str | None) -> None:
    assert of_banner(banner) == (None if text is None else parse(text))


def test_of_compile_h() -> None:
    header = (
        b'/* SMP */\n#define UTS_MACHINE\t\t"aarch64"\n#define LINUX_COMPILE_HOST\t"build-host"\n'
        b'#define LINUX_COMPILER\t\t"' + DEBIAN.encode() + b', GNU ld (GNU Binutils) 2.40"\n'
    )
    assert of_compile_h(header) == parse(f"{DEBIAN}, GNU ld (GNU Binutils) 2.40")
    assert of_compile_h(header.replace(b"LINUX_COMPILER", b"LINUX_COMPILES")) is None
    assert of_compile_h(b"\xff" * 100) is None


@pytest.mark.parametrize(
    ("section", "compiler"),
    [
        (
            b"\0GCC: (Debian 12.2.0-14) 12.2.0\0\0GCC: (Debian 12.2.0-14) 12.2.0\0",
            Compiler("gcc", (12, 2, 0), "", "GCC: (Debian 12.2.0-14) 12.2.0"),
        ),
        (
            f"Linker: LLD 14.0.7\0{R450784E}\0".encode(),
            Compiler("clang", (14, 0, 7), "LLD 14.0.7", R450784E),
        ),
        (b"Linker: LLD 14.0.7\0", None),
        (b"", None),
        (b"\xff\xfe\0" * 50, None),
    ],
)
def test_of_comment(section: bytes, compiler: Compiler | None) -> None:
    assert of_comment(section) == compiler


@pytest.mark.parametrize(
    ("options", "compiler"),
    [
        (  # 6.1
            {
                "CC_VERSION_TEXT": DEBIAN,
                "CC_IS_GCC": "y",
                "GCC_VERSION": "120200",
                "CLANG_VERSION": "0",
                "LD_IS_BFD": "y",
                "LD_VERSION": "24000",
                "LLD_VERSION": "0",
            },
            Compiler("gcc", (12, 2, 0), "GNU ld 2.40.0", DEBIAN),
        ),
        (  # 5.10, with its older LD_VERSION
            {
                "CC_VERSION_TEXT": "gcc-10 (Debian 10.2.1-6) 10.2.1 20210110",
                "CC_IS_GCC": "y",
                "GCC_VERSION": "100201",
                "LD_VERSION": "235020000",
                "CLANG_VERSION": "0",
                "LLD_VERSION": "0",
            },
            Compiler(
                "gcc", (10, 2, 1), "GNU ld 2.35.2", "gcc-10 (Debian 10.2.1-6) 10.2.1 20210110"
            ),
        ),
        (
            {
                "CC_VERSION_TEXT": R450784E,
                "GCC_VERSION": "0",
                "CC_IS_CLANG": "y",
                "CLANG_VERSION": "140007",
                "AS_IS_LLVM": "y",
                "LD_VERSION": "0",
                "LD_IS_LLD": "y",
                "LLD_VERSION": "140007",
            },
            Compiler("clang", (14, 0, 7), "LLD 14.0.7", R450784E),
        ),
        (  # 4.19: no text, and clang counts as a gcc of its own
            {"CC_IS_CLANG": "y", "GCC_VERSION": "40201", "CLANG_VERSION": "80012"},
            Compiler("clang", (8, 0, 12), "", ""),
        ),
        ({"CC_IS_GCC": "y", "GCC_VERSION": "40900"}, Compiler("gcc", (4, 9, 0), "", "")),
        ({"CC_IS_GCC": "y", "GCC_VERSION": "huge"}, Compiler("gcc", (), "", "")),
        ({"GCC_VERSION": "40900"}, None),  # of neither
        ({"BPF": "y"}, None),
    ],
)
def test_of_config(options: dict[str, str], compiler: Compiler | None) -> None:
    assert of_config({f"CONFIG_{name}": value for name, value in options.items()}) == compiler


@pytest.mark.parametrize(
    ("compilers", "says"),
    [
        ({}, ""),
        ({"a": "gcc-12 (Debian 12.2.0-14) 12.2.0", "b": "gcc (GCC) 12.2.1 20221121"}, ""),
        ({"a": "gcc version 4.9.x (GCC)", "b": "gcc version 4.9 (GCC)"}, ""),
        ({"a": "nothing", "b": DEBIAN}, ""),
        ({"a": f"{DEBIAN}, GNU ld (GNU Binutils) 2.40", "b": DEBIAN}, ""),
        (
            {"IKCONFIG": DEBIAN, "/proc/version": R450784E, "compile.h": "gcc (GCC) 12.2.0"},
            "gcc 12.2 by IKCONFIG and compile.h, clang 14.0 by /proc/version",
        ),
        (
            {"IKCONFIG": f"{R450784E}, LLD 14.0.7", "/proc/version": "clang version 14.0.6"},
            "",
        ),
        (
            {"a": f"{R450784E}, LLD 14.0.7", "b": "clang version 14.0.6, GNU ld (x) 2.40"},
            "lld by a, ld.bfd by b",
        ),
        ({"a": "gcc (GCC) 12.2.0", "b": "gcc (GCC) 12.3.0"}, "gcc 12.2 by a, gcc 12.3 by b"),
        ({"a": "gcc (GCC) 9", "b": "gcc (GCC) 9.0.1"}, ""),
    ],
)
def test_disagreement(compilers: dict[str, str], says: str) -> None:
    assert disagreement({source: parse(text) for source, text in compilers.items()}) == says


def test_a_family_alone_agrees_with_any_version() -> None:
    known = parse(DEBIAN)
    assert disagreement({"a": Compiler("gcc", (), "", ""), "b": known}) == ""
    assert (
        disagreement({"a": Compiler("clang", (), "", ""), "b": known})
        == "clang by a, gcc 12.2 by b"
    )


def test_names() -> None:
    assert str(parse(DEBIAN)) == "gcc 12.2.0"
    assert str(parse("")) == "an unknown compiler"
    assert parse(f"{R450784E}, LLD 14.0.7").linker_family == "lld"
    assert parse("").linker_family == ""


WORDS = st.lists(
    st.sampled_from(
        ["gcc", "gcc version", "clang version", " 12.2.0", " 4.9.x", "(", ")", ", LLD", ", GNU ld",
         "Linux version 1 (a@b) (", ") #1", "9" * 5000, ".", "-", "\0", "\n", "GCC: "]
    )
).map("".join)  # fmt: skip


@given(st.text(max_size=300) | WORDS)
def test_any_text_is_taken(text: str) -> None:
    for compiler in (parse(text), of_banner(text)):
        if compiler:
            assert compiler.family in ("", "gcc", "clang")
            assert all(0 <= number < 10**9 for number in compiler.version)
            assert len(compiler.text) <= 4096


@given(st.binary(max_size=300) | WORDS.map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_taken(data: bytes) -> None:
    for compiler in (of_comment(data), of_compile_h(data)):
        assert compiler is None or compiler.family in ("", "gcc", "clang")


@pytest.mark.parametrize(
    "word", ["(", "gcc-", "Linux version ", "Linux version x (", ", LLD", "9."]
)
def test_a_megabyte_of_anything_ends(word: str) -> None:
    text = word * ((1 << 20) // len(word))
    assert parse(text).version == ()
    assert of_banner(text) is None
    assert of_comment(text.encode()) is None
