"""Kernel images: what is found in them, whatever they are wrapped in, and what others are told."""

from __future__ import annotations

import gzip
import lzma
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from droidheaders.headers import image, inflate
from droidheaders.headers.image import Image, read_image
from droidheaders.headers.limits import ArchiveError, RefusedError, UnusableError
from droidheaders.headers.wrapping import Read, notes, segments, unwrap
from tests import images
from tests.archives import GOOD, RELEASE, tar, xz
from tests.images import ARCHIVE, BTF, BUILD_ID, CONFIG, VERSION, arm64, banner, elf, kernel, note


def read(data: bytes, directory: Path) -> Image:
    return read_image(unwrap(memoryview(data), directory).view)


@pytest.mark.parametrize("name", images.KERNELS)
def test_every_shape_of_a_kernel(name: str, tmp_path: Path) -> None:
    kind, data = images.KERNELS[name]
    opened = unwrap(memoryview(data), tmp_path)
    assert (opened.kind, opened.content) == (kind, "kernel image")
    found = read_image(opened.view)
    wide = b"X86" if found.survey.machine == "x86_64" else b""
    assert found.archive == (images.X86 if wide else ARCHIVE)
    assert found.survey.release == RELEASE
    assert found.version == VERSION
    assert found.banner == banner()[:-2].decode()
    assert found.build_id == BUILD_ID.hex()
    assert found.config == CONFIG
    assert found.btf == BTF
    assert not list(tmp_path.iterdir())


UTS = "include/generated/utsrelease.h"
SPLIT = BTF[:-6] + b"names\0"  # the base has the empty string
CUT = xz(tar())[:200]
DECOYS = {
    "an xz stream that is no tar": xz(b"070701 an initramfs" * 1000),
    "a tar that is no headers": xz(tar({"init": b"#!/bin/sh\n"})),
    "headers without a release": xz(tar({"include/a.h": b""})),
    "an xz stream that is cut off": CUT,
    "a stream of another check": lzma.compress(tar(), check=lzma.CHECK_NONE),
    "the magic, often": b"\xfd7zXZ\0" * 100,
    "half a configuration": images.ikconfig()[:30],
    "a configuration that is none": images.ikconfig(b"nothing"),
    "an initramfs with a program": elf((1, note(b"\xdd" * 20)), (4, note(b"\xcc" * 20))),
    "a program of 32 bits": elf((1, b"x"), (4, note(b"\xcc" * 20)), wide=False),
    "headers of another kernel": xz(tar(GOOD | {UTS: b'#define UTS_RELEASE "5.4.0"\n'})),
    "a module's BTF": SPLIT,
    "BTF whose strings lie elsewhere": BTF[:16] + b"\0\0\0\1" + BTF[20:],
    "BTF that is larger than all": BTF[:12] + b"\xff" * 8 + BTF[20:],
    "another kernel": banner("5.4.0", "#7 SMP"),
}


@pytest.mark.parametrize("decoy", DECOYS)
def test_what_lies_beside_is_passed_over(decoy: str, tmp_path: Path) -> None:
    found = read(arm64(kernel(before=DECOYS[decoy])), tmp_path)
    assert found.archive == ARCHIVE
    assert found.config == CONFIG
    assert (found.version, found.build_id) == (VERSION, BUILD_ID.hex())
    assert found.btf == BTF


def test_streams_and_attempts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def refuse(*_: object) -> None:
        calls.append(1)
        raise ArchiveError("no")

    monkeypatch.setattr(image, "survey", refuse)
    many = b"".join(xz(tar({"include/a.h": b"%d" % n})) for n in range(20))
    with pytest.raises(ArchiveError):
        read(arm64(kernel(before=many)), tmp_path)
    assert len(calls) == 4
    calls.clear()
    with pytest.raises(ArchiveError, match="has no headers in it"):
        read(arm64(kernel(before=b"\xfd7zXZ\0" * 256)), tmp_path)
    assert not calls


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        (note(BUILD_ID) + note(b"\xaa" * 20), ""),  # which one it is cannot be told
        (note(BUILD_ID) * 2, BUILD_ID.hex()),
        (note(b"\xab" * 8), "ab" * 8),  # lld's --build-id=fast
        (note(b"\xab" * 4), ""),
        (note(BUILD_ID, kind=1), ""),
        (b"", ""),
    ],
)
def test_the_one_build_id(notes: bytes, expected: str, tmp_path: Path) -> None:
    assert read(arm64(kernel(notes=notes)), tmp_path).build_id == expected


def test_too_many_files_to_tell_the_build_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them could pass for the kernel's, which is no longer looked at."""
    monkeypatch.setattr(image, "_FILES", 3)
    assert read(arm64(kernel(before=elf((1, b"x")))), tmp_path).build_id == BUILD_ID.hex()
    files = elf((1, b"x")) + b"".join(elf((4, note(b"%020d" % n))) for n in range(2))
    assert read(arm64(kernel(before=files)), tmp_path).build_id == ""


def test_two_banners_of_one_release_leave_the_version_open(tmp_path: Path) -> None:
    found = read(arm64(kernel(banners=banner() + banner(version="#2 SMP"))), tmp_path)
    assert (found.version, found.banner) == ("", "")
    assert read(arm64(kernel(banners=banner() * 3)), tmp_path).version == VERSION


def test_a_version_is_as_long_as_uname_says_it(tmp_path: Path) -> None:
    long = "#1 SMP " + "x" * 100
    assert read(arm64(kernel(banners=banner(version=long))), tmp_path).version == long[:64]


@pytest.mark.parametrize("btf", [b"", BTF + BTF[:-2] + b"s\0", BTF[:-1] + b"x"])
def test_one_btf_or_none(btf: bytes, tmp_path: Path) -> None:
    assert read(arm64(kernel(btf=btf)), tmp_path).btf is None


def test_btf_that_is_cut_off(tmp_path: Path) -> None:
    whole = arm64(kernel())
    assert read(whole[: whole.index(BTF) + 20], tmp_path).btf is None
    assert read(whole[: whole.index(BTF) + len(BTF) - 1], tmp_path).btf is None


def test_without_a_configuration(tmp_path: Path) -> None:
    assert read(arm64(kernel(config=b"")), tmp_path).config is None


NO_TEXT = banner().replace(b"6.1.99", b"6.1\x1b[2J")
BOOT = images.boot(gzip.compress(images.IMAGE), 2)
REFUSED: dict[str, tuple[bytes, str, str]] = {
    "no headers": (arm64(kernel(b"")), "has no headers in it", "kheaders.ko"),
    "a module's": (
        arm64(kernel(b"", config=images.ikconfig(b"\nCONFIG_IKHEADERS=m\n"))),
        "has its headers in a module",
        "kheaders.ko",
    ),
    "no kernel": (arm64(bytes(5000)), "is no kernel: no Linux version", "boot.img"),
    "a program": (elf((1, b"hello")), "is no kernel: no Linux version", "vmlinux"),
    "another release": (
        arm64(kernel(banners=banner("6.1.98"))),
        "headers of another kernel: their UTS_RELEASE is 6.1.99-test, and the image is 6.1.98",
        "",
    ),
    "an escape sequence": (arm64(kernel(banners=NO_TEXT)), r"the image is 6.1\\x1b\[2J-test", ""),
    "an archive that is cut off": (arm64(kernel(ARCHIVE[:-30])), "is damaged", ""),
    "an archive without a release": (
        arm64(kernel(xz(tar({"include/a.h": b""})))),
        "holds no include/generated/utsrelease.h",
        "",
    ),
    "text": (b"hello\n" * 1000, "is nothing that is known here", "kheaders.ko"),
    "a byte": (b"x", "is nothing that is known here", ""),
    "tar": (tar(), "is a tar archive that is not compressed with xz", "xz FILE"),
    "tar.gz": (gzip.compress(tar()), "is a tar archive that is not compressed with xz", "xz FILE"),
    "vendor_boot": (b"VNDRBOOT" + bytes(4096), "has no kernel", "boot.img"),
    "init_boot": (images.boot(b"", 4), "is a boot image without a kernel", "init_boot"),
    "sparse": (b"\x3a\xff\x26\xed" + bytes(100), "is a sparse image", "simg2img"),
    "zip": (b"PK\x03\x04" + bytes(100), "is a zip file", "boot.img"),
    "zImage": (bytes(36) + b"\x18\x28\x6f\x01" + bytes(9), "is a compressed ARM zImage", "vmlinux"),
    "boot, cut off": (BOOT[:2500], "is cut off", ""),
    "boot, its header cut off": (BOOT[:40], "is cut off in its boot image header", ""),
    "boot, odd pages": (images.boot(b"x", 2, 3000), "its pages have 3000 bytes", ""),
    "boot, a huge kernel": (b"ANDROID!" + b"\xff" * 4 + BOOT[12:], "is cut off: 4294967295", ""),
    "bzImage, cut off": (images.bzimage(b"x" * 9999)[:9000], "is cut off", ""),
    "bzImage, its header cut off": (images.bzimage(b"")[:0x210], "is cut off, or older", ""),
    "bzImage, of unknown content": (images.bzimage(b"x" * 99), "is nothing that is known", ""),
    "gzip, cut off": (gzip.compress(images.IMAGE)[:-10], "is compressed, and cut off", ""),
    "gzip, damaged": (b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 99, "and damaged", ""),
    "lz4, cut off": (images.lz4_legacy(images.IMAGE)[:-10], "is compressed, and cut off", ""),
    "lz4, damaged": (b"\x02\x21\x4c\x18\x04\0\0\0\xff\xff\xff\xff", "and damaged", ""),
    "lz4, a huge block": (
        b"\x02\x21\x4c\x18\xff\xff\xff\x7f1234",
        "is compressed, and cut off",
        "",
    ),
    "lz4 frame, cut off": (images.KERNELS["Image.lz4, a frame"][1][:-9], "and cut off", ""),
    "lz4 frame, damaged": (b"\x04\x22\x4d\x18" + b"x" * 99, "is compressed, and damaged", ""),
    "xz, cut off": (xz(images.IMAGE)[:-10], "is compressed, and cut off", ""),
    "empty in gzip": (gzip.compress(b""), "is empty", ""),
    "an onion": (gzip.compress(gzip.compress(b"x")), "is nothing that is known", ""),
    "ELF, cut off": (images.VMLINUX[:500], "is an ELF file that is cut off", ""),
    "ELF, its header cut off": (images.VMLINUX[:40], "is a damaged ELF file", ""),
    "ELF of big endian": (b"\x7fELF\x02\x02\x01" + images.VMLINUX[7:], "of big endian", ""),
    "ELF without segments": (elf(), "has nothing to be loaded", ""),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str, tmp_path: Path) -> None:
    data, says, hint = REFUSED[what]
    with pytest.raises(ArchiveError, match=says) as raised:
        read(data, tmp_path)
    error = raised.value.of("FILE", "another hint")
    assert hint in error.hint
    assert isinstance(raised.value, RefusedError) == (error.hint != "another hint")
    assert error.exit_code == 5
    assert not list(tmp_path.iterdir())


def test_headers_of_another_kernel_are_unusable(tmp_path: Path) -> None:
    with pytest.raises(UnusableError):
        read(arm64(kernel(banners=banner("6.1.98"))), tmp_path)


def test_wrappings_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = images.IMAGE
    for _ in range(7):
        data = gzip.compress(data)
    with pytest.raises(ArchiveError, match="is wrapped too often"):
        unwrap(memoryview(data), tmp_path)
    monkeypatch.setattr(inflate, "LIMIT", 1 << 20)
    bomb = bytes(2 << 20)
    for packed in (gzip.compress(bomb), images.lz4_legacy(bomb), xz(bomb)):
        with pytest.raises(ArchiveError, match="is larger than 1 MiB"):
            unwrap(memoryview(packed), tmp_path)


def test_decompression_goes_in_steps() -> None:
    for packed in (gzip.compress(bytes(9 << 20)), xz(bytes(9 << 20))):
        unpacked = inflate.inflated(memoryview(packed))
        assert unpacked is not None
        sizes = [len(piece) for piece in unpacked]
        assert (sum(sizes), max(sizes)) == (9 << 20, 1 << 20)


def test_a_vmlinux_is_what_is_loaded_of_it() -> None:
    debug = bytes(1000)
    data = elf((1, b"text"), (4, note(BUILD_ID)), (6, debug), (1, b"data"))
    read = _reader(data)
    assert b"".join(segments(read)) == b"textdata"
    assert notes(read) == note(BUILD_ID)


def _reader(data: bytes) -> Read:
    return lambda at, size: data[at : at + size]


PIECES = [images.IMAGE, ARCHIVE, images.ikconfig(), images.VDSO, banner(), note(BUILD_ID), BOOT]


@st.composite
def spliced(draw: st.DrawFn) -> bytes:
    """Give pieces of images, cut and with bytes changed, one behind the other."""
    data = b""
    for piece in draw(st.lists(st.sampled_from(PIECES) | st.binary(max_size=40), max_size=5)):
        cut = draw(st.integers(0, len(piece)))
        data += piece[:cut] if draw(st.booleans()) else piece
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, 3)) if data else 0):
        changed[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spliced())
@example(b"\x7fELF\x02\x01\x01" + b"\xff" * 57)
@example(b"\x7fELF\x02\x01\x01" + bytes(25) + b"\xff" * 8 + bytes(14) + b"\x38\0\x01\0" + bytes(8))
@example(b"ANDROID!")
@example(bytes(0x202) + b"HdrS" + b"\xff" * 0x100)
@example(b"MZ\0\0zimg")
@example(b"\x1f\x8b\x08")
@example(b"\x04\x22\x4d\x18")
@example(b"\x02\x21\x4c\x18\0\0\0\0\0\0\0\0")
@example(b"\x5d\0\0" + b"\xff" * 20)
def test_any_bytes_give_an_image_or_an_archive_error(tmp_path: Path, data: bytes) -> None:
    try:
        opened = unwrap(memoryview(data), tmp_path)
        found = read_image(opened.view)
    except ArchiveError:
        return
    assert found.survey.release == RELEASE
    assert found.archive == ARCHIVE


@settings(deadline=None)
@given(st.sampled_from(list(GOOD)), st.binary(max_size=30))
def test_whatever_the_headers_hold(name: str, content: bytes) -> None:
    with_it = arm64(kernel(xz(tar(GOOD | {name: content}))))
    try:
        found = read_image(memoryview(with_it))
    except ArchiveError:
        return
    assert found.survey.release == RELEASE


def test_pieces_of_a_table_that_lies(tmp_path: Path) -> None:
    """A program header table that is said to lie behind the end of everything."""
    lying = bytearray(images.VDSO)
    struct.pack_into("<Q", lying, 32, 1 << 63)
    assert read(arm64(kernel(before=bytes(lying))), tmp_path).archive == ARCHIVE


def test_what_a_kernel_says_of_itself_with_headers_or_without() -> None:
    uts = b"".join(
        text.encode().ljust(65, b"\0") for text in ("Linux", "(none)", RELEASE, VERSION, "aarch64")
    )
    told = image.read_kernel(memoryview(images.arm64(banner() + uts + images.ikconfig() + BTF)))
    assert (told.release, told.version, told.machine) == (RELEASE, VERSION, "aarch64")
    assert (told.config, told.btf) == (CONFIG, BTF)
    assert image.read_kernel(memoryview(images.IMAGE)).machine == ""
    with pytest.raises(RefusedError, match="no Linux version"):
        image.read_kernel(memoryview(b"nothing"))
