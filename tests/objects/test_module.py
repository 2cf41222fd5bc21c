"""What is read of a module's file, and what is refused."""

from __future__ import annotations

import gzip
import lzma
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.kernel.exports import Export
from droidheaders.objects import module as reader
from droidheaders.objects.module import parse, read
from droidheaders.objects.signature import Signature
from tests.modules import CLANG, INFO, MARKER, VERMAGIC, X86_64, module, signed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GOOD = module(
    info=(*INFO, "import_ns=ONE", "import_ns=TWO"),
    undefined=("_printk", "kfree"),
    weak=("maybe",),
    versions={"module_layout": 1, "_printk": 0xDEADBEEF, "kfree": 3},
    exports={"first": (0x11, "", False), "second": (0x22, "SPACE", True)},
)


def test_a_module_says_what_it_is() -> None:
    made = parse(GOOD)
    assert (made.arch, made.size, made.compression, made.name) == ("arm64", len(GOOD), "", "probe")
    assert made.info("vermagic") == VERMAGIC
    assert made.modinfo["import_ns"] == ("ONE", "TWO")
    assert made.undefined == {"_printk", "kfree"}
    assert made.weak == {"maybe"}
    assert made.versions == {"module_layout": 1, "_printk": 0xDEADBEEF, "kfree": 3}
    assert made.basic_versions
    assert made.this_module == 896
    assert made.exports == {
        "first": Export(0x11, "", False, "probe"),
        "second": Export(0x22, "SPACE", True, "probe"),
    }
    assert made.compiler and made.compiler.version == (12, 2, 0)
    assert (made.signature, made.depends, made.build_id) == (None, (), "")


def test_names_that_are_too_long_for_the_old_table_are_in_the_new_one() -> None:
    name = "n" * 200
    made = parse(module(versions={"kfree": 1}, extended={"kfree": 2, name: 3}))
    assert made.versions == {"kfree": 2, name: 3}
    assert made.basic_versions
    assert not parse(module(extended={})).basic_versions


def test_an_empty_table_of_versions_is_not_the_same_as_none() -> None:
    assert parse(module(versions={})).versions == {}
    assert parse(module()).versions is None


def test_the_first_entry_of_a_name_counts_as_it_does_for_the_kernel() -> None:
    twice = struct.pack("<Q56s", 1, b"kfree") + struct.pack("<Q56s", 2, b"kfree") + b"rest"
    made = parse(module(sections={"__versions": twice}, info=("license=GPL", "license=MIT")))
    assert made.versions == {"kfree": 1}
    assert made.info("license") == "GPL"


def test_newer_kernels_say_in_flags_what_is_for_gpl_modules() -> None:
    sections = {"__ksymtab": bytes(24), "__kflagstab": b"\0\1"}
    labels = {"__ksymtab_a": ("__ksymtab", 0), "__flags_a": ("__kflagstab", 0)}
    labels |= {"__ksymtab_b": ("__ksymtab", 12), "__flags_b": ("__kflagstab", 1)}
    made = parse(module(sections=sections, labels=labels, info=("license=GPL",)))
    assert made.exports == {
        "a": Export(None, "", False, None),
        "b": Export(None, "", True, None),
    }


@pytest.mark.parametrize(
    ("label", "sections", "found"),
    [
        ("__cfi_check", {}, {"cfi"}),
        ("__cfi_init_module", {}, {"kcfi"}),
        ("__kcfi_typeid_probe", {}, {"kcfi"}),
        ("probe", {".kcfi_traps": b"\0"}, {"kcfi"}),
        ("__cfi_check_fail", {}, set()),
    ],
)
def test_cfi_shows_in_symbols_and_sections(
    label: str, sections: dict[str, bytes], found: set[str]
) -> None:
    made = parse(module(labels={label: ("", 0)}, sections=sections, comment=CLANG))
    assert made.protections == found


def test_a_crc_may_be_the_value_of_its_symbol() -> None:
    made = parse(module(exports={"old": (7, "", False)}, labels={"__crc_old": ("", 0x89ABCDEF)}))
    assert made.exports["old"].crc == 0x89ABCDEF


@pytest.mark.parametrize(
    ("data", "signature"),
    [
        (signed(GOOD), Signature("PKCS#7", "sha256")),
        (signed(GOOD, kind=1, hash_=4), Signature("X.509", "")),
        (signed(GOOD, kind=9), Signature("type 9", "")),
        (signed(GOOD, hash_=4), Signature("PKCS#7", "", "has a damaged signature")),
        (signed(GOOD, size=1 << 31), Signature("PKCS#7", "", "has a signature that is cut off")),
        (GOOD + MARKER[1:], None),
    ],
)
def test_signatures(data: bytes, signature: Signature | None) -> None:
    assert parse(data).signature == signature


@pytest.mark.parametrize(
    ("packed", "name"),
    [
        (gzip.compress(GOOD), "gzip"),
        (lzma.compress(GOOD), "xz"),
        (lzma.compress(GOOD, check=lzma.CHECK_CRC32), "xz"),
        (zstd.compress(GOOD, options={zstd.CompressionParameter.checksum_flag: 1}), "zstd"),
    ],
)
def test_compression_is_told_by_content(tmp_path: Path, packed: bytes, name: str) -> None:
    path = tmp_path / "probe.ko"
    path.write_bytes(packed)
    assert read(path).compression == name
    assert read(path).undefined == parse(GOOD).undefined
    with pytest.raises(ValueError, match="is compressed, and "):
        parse(packed[: len(packed) // 2])
    with pytest.raises(ValueError, match=r"^is compressed, and "):
        parse(packed[: len(packed) // 2] + b"\xff" * 50 + packed[len(packed) // 2 + 50 :])


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstd.compress])
def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch, pack: object) -> None:
    monkeypatch.setattr(reader, "LIMIT", 1 << 20)
    with pytest.raises(ValueError, match="is larger than 1 MiB when it is decompressed"):
        parse(pack(bytes(64 << 20)))  # type: ignore[operator]


def test_a_zstd_window_of_two_gigabytes_is_refused() -> None:
    huge = bytes.fromhex("28b52ffd00a8") + b"\x01\0\0"  # RFC 8878: window 2 GiB, an empty block
    with pytest.raises(ValueError, match="is compressed, and damaged"):
        parse(huge)


def test_a_file_that_is_too_large_or_none_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "probe.ko"
    path.write_bytes(GOOD)
    monkeypatch.setattr(reader, "LIMIT", 100)
    with pytest.raises(ValueError, match="is larger than"):
        read(path)
    with pytest.raises(ValueError, match="is no file"):
        read(Path("/dev/null"))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"#!/bin/sh\n", "is no kernel module: it is no ELF file"),
        (gzip.compress(b"text"), "is no kernel module: what is compressed in it is no ELF file"),
        (module(kind=2), "is no kernel module: it is a program"),
        (module(kind=3), "is no kernel module: it is a shared library"),
        (module(kind=77), "is no kernel module: it is no relocatable ELF file"),
        (GOOD[:4] + b"\x01" + GOOD[5:], "is a 32-bit ELF file for AArch64, and only 64-bit"),
        (GOOD[:5] + b"\x02" + GOOD[6:], "is a big-endian ELF file for .*, and Android is"),
        (GOOD[:4] + b"\x03" + GOOD[5:], "is damaged: its header tells neither"),
        (module(info=(), this_module=0), "is no kernel module: it has no .modinfo"),
        (GOOD[:60] + b"\xff\x7f" + GOOD[62:], "has 32767 sections, more than 16384"),
        (GOOD[:60] + b"\0\0" + GOOD[62:], "is damaged: it says that it has no sections"),
        (GOOD[:58] + b"\x41\0" + GOOD[60:], "is damaged: it says that its section headers have 65"),
        (GOOD[:62] + b"\0\0", "is cut off"),
        (GOOD[:62] + b"\xff\x00" + GOOD[64:], "is damaged: its sections have no names"),
        (b"\x7fELF", "is cut off: its header is not whole"),
        (GOOD[:200], "is cut off"),
    ],
)
def test_what_is_refused_and_how(data: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        parse(data)


def test_a_stripped_module_is_refused() -> None:
    with pytest.raises(ValueError, match="it was stripped"):
        parse(GOOD.replace(struct.pack("<I", 2) + struct.pack("<Q", 2), struct.pack("<IQ", 1, 2)))


def test_wherever_it_is_cut_off_it_is_refused() -> None:
    for size in range(0, len(GOOD), 64):
        with pytest.raises(ValueError, match=r"^(is|has) "):
            parse(GOOD[:size])


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=16))
def test_damage_ends_as_a_sentence(at: int, put: bytes) -> None:
    try:
        made = parse(GOOD[:at] + put + GOOD[at + len(put) :])
    except ValueError as e:
        assert str(e).startswith(("is ", "has ", "asks "))
    else:
        assert made.size >= len(GOOD)


@given(st.binary(max_size=200))
def test_bytes_behind_a_module_s_magic_end_as_a_sentence(rest: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) "):
        parse(b"\x7fELF\x02\x01\x01" + rest)


def test_too_many_symbols_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_NAMED", 5)
    with pytest.raises(ValueError, match="asks for, or exports, more than 5 symbols"):
        parse(module(undefined=[f"s{n}" for n in range(10)]))
    with pytest.raises(ValueError, match="has more than 5 CRCs"):
        parse(module(versions={f"s{n}": 1 for n in range(10)}))


SOURCE = r"""
#define SECTION(s) __attribute__((used, section(s)))
static const char info[] SECTION(".modinfo") =
    "license=GPL v2\0name=real\0depends=one-more\0vermagic=6.1.0 SMP mod_unload ";
static const struct { unsigned long crc; char name[56]; } versions[] SECTION("__versions") =
    {{0x12345678, "_printk"}, {0x9abcdef0, "module_layout"}};
static char module[512] SECTION(".gnu.linkonce.this_module") = {1};
extern int _printk(const char *, ...);
extern void maybe(void) __attribute__((weak));
int shared(void) { if (maybe) maybe(); return _printk("hello"); }
__asm__(".section \"__ksymtab_strings\",\"aMS\",%progbits,1\n"
        "__kstrtab_shared: .asciz \"shared\"\n__kstrtabns_shared: .asciz \"SPACE\"\n.previous\n"
        ".section \"___ksymtab_gpl+shared\",\"a\"\n__ksymtab_shared: .long shared - .\n"
        ".long __kstrtab_shared - .\n.long __kstrtabns_shared - .\n.previous\n"
        ".section \"___kcrctab_gpl+shared\",\"a\"\n__crc_shared: .long 0x0badcafe\n.previous\n");
"""


@pytest.mark.parametrize(("compiler", "arch"), [("gcc", "x86"), ("aarch64-linux-gnu-gcc", "arm64")])
def test_a_real_compiler_s_module(tmp_path: Path, compiler: str, arch: str) -> None:
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    (tmp_path / "real.c").write_text(SOURCE)
    command = [compiler, "-O2", "-c", "-fno-pic", "real.c", "-o", "real.ko"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    made = read(tmp_path / "real.ko")
    assert made.arch in (arch, "arm64")  # a host's own gcc may be of either
    assert made.undefined == {"_printk"}
    assert made.weak == {"maybe"}
    assert made.versions == {"_printk": 0x12345678, "module_layout": 0x9ABCDEF0}
    assert made.exports == {"shared": Export(0x0BADCAFE, "SPACE", True, "real")}
    assert (made.this_module, made.name, made.depends) == (512, "real", ("one_more",))
    assert made.compiler and made.compiler.family == "gcc"


def test_many_symbols_are_all_read() -> None:
    names = [f"symbol_{n}" for n in range(10_000)]
    made = parse(module(undefined=names, versions=dict.fromkeys(names, 1), machine=X86_64))
    assert len(made.undefined) == len(made.versions or ()) == 10_000
