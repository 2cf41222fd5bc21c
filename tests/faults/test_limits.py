"""Archives that cost too much, and xz streams that are not one whole stream."""

from __future__ import annotations

import lzma
import os
import zlib
from functools import partial
from typing import Any

import pytest

from droidheaders.headers.limits import MIB, Limits
from tests.archives import GOOD, entry, pax, tar, with_good
from tests.faults.reading import GOOD_ARCHIVE, Reader

A = b"include/a.h"
MUCH = os.urandom(3 * MIB)  # not to be compressed, so that no ratio is passed


def compressed(**options: Any) -> bytes:
    """Return a good archive, compressed otherwise than the kernel does it."""
    return lzma.compress(tar(), **options)


def filtered(*filters: dict[str, int]) -> bytes:
    return compressed(filters=[*filters, {"id": lzma.FILTER_LZMA2, "preset": 6}])


def with_dictionary(code: int) -> bytes:
    """Return a good archive that asks for a dictionary of (2 | code & 1) << (code // 2 + 11) bytes.

    Patched in, since an encoder would need ten times that.
    """
    data = bytearray(GOOD_ARCHIVE)
    start, end = 12, 12 + 4 * data[12]  # of the block header, the CRC behind it
    assert data[start + 2 : start + 4] == b"\x21\x01"  # LZMA2, with one byte of properties
    data[start + 4] = code
    data[end : end + 4] = zlib.crc32(data[start:end]).to_bytes(4, "little")
    return bytes(data)


def quickly(data: bytes) -> bytes:
    """Compress much data."""
    return lzma.compress(data, preset=0)


def with_check(check: int) -> bytes:
    """Return a good archive whose 4 bytes of checksum are said to be of another kind."""
    data = compressed(check=lzma.CHECK_CRC32)
    flags = bytes([0, check])
    end = data[-8:-4] + flags
    return (
        data[:6]
        + (flags + zlib.crc32(flags).to_bytes(4, "little"))
        + data[12:-12]
        + (zlib.crc32(end).to_bytes(4, "little") + end + b"YZ")
    )


def flipped(at: int) -> bytes:
    """Return a good archive with one bit wrong."""
    data = bytearray(GOOD_ARCHIVE)
    data[at] ^= 1
    return bytes(data)


BOMB = quickly(bytes(64 * MIB))
BEHIND = "goes on behind the end of its xz stream"
DAMAGED = "is damaged: "
CUT = "is cut off: its xz stream has no end"
NO_CHECK = "has no checksum that can be verified"

STREAMS = [
    pytest.param(BOMB, "expands more than 100 times", id="ratio"),
    pytest.param(
        quickly(with_good(entry(A, bytes(4 * MIB))) * 16),
        "expands more than 100",
        id="ratio-of-a-file",
    ),
    pytest.param(with_dictionary(30), "MiB to decompress", id="dictionary-of-128-MiB"),
    pytest.param(with_dictionary(37), "MiB to decompress", id="dictionary-of-1.5-GiB"),
    pytest.param(GOOD_ARCHIVE + GOOD_ARCHIVE, BEHIND, id="two-streams"),
    pytest.param(GOOD_ARCHIVE + bytes(4), BEHIND, id="padding"),
    pytest.param(GOOD_ARCHIVE + b"x", BEHIND, id="trailing-byte"),
    pytest.param(GOOD_ARCHIVE + b"\n", BEHIND, id="trailing-newline"),
    pytest.param(GOOD_ARCHIVE[:-1], CUT, id="last-byte-missing"),
    pytest.param(GOOD_ARCHIVE[:-12], CUT, id="footer-missing"),
    pytest.param(GOOD_ARCHIVE[:-24], CUT, id="index-cut"),
    pytest.param(GOOD_ARCHIVE[:100], CUT, id="data-cut"),
    pytest.param(GOOD_ARCHIVE[:12], CUT, id="only-a-header"),
    pytest.param(GOOD_ARCHIVE[:6], CUT, id="only-a-magic"),
    pytest.param(flipped(2), "is not xz", id="magic-damaged"),
    pytest.param(flipped(8), DAMAGED, id="header-crc-wrong"),
    pytest.param(flipped(20), DAMAGED, id="block-header-crc-wrong"),
    pytest.param(flipped(100), DAMAGED, id="data-damaged"),
    pytest.param(flipped(len(GOOD_ARCHIVE) - 30), DAMAGED, id="check-wrong"),
    pytest.param(flipped(len(GOOD_ARCHIVE) - 16), DAMAGED, id="index-crc-wrong"),
    pytest.param(flipped(len(GOOD_ARCHIVE) - 10), DAMAGED, id="footer-crc-wrong"),
    pytest.param(flipped(len(GOOD_ARCHIVE) - 1), DAMAGED, id="footer-magic-wrong"),
    pytest.param(compressed(check=lzma.CHECK_NONE), NO_CHECK, id="no-check"),
    pytest.param(with_check(2), NO_CHECK, id="check-that-nobody-knows"),
    pytest.param(compressed(format=lzma.FORMAT_ALONE), "is not xz", id="lzma-alone"),
    pytest.param(lzma.compress(b""), "ends in the middle", id="nothing-in-it"),
    pytest.param(b"\x1f\x8b\x08" + bytes(99), "is not xz", id="gzip"),
    pytest.param(b"\x28\xb5\x2f\xfd" + bytes(99), "is not xz", id="zstd"),
    pytest.param(tar(), "is not xz", id="plain-tar"),
    pytest.param(b"", "is empty", id="empty"),
]


@pytest.mark.parametrize(("archive", "says"), STREAMS)
def test_refused(reader: Reader, archive: bytes, says: str) -> None:
    assert says in reader.refuse(archive)


BCJ_X86 = {"id": lzma.FILTER_X86}
DELTA = {"id": lzma.FILTER_DELTA, "dist": 4}
ACCEPTED = [
    pytest.param(compressed(check=lzma.CHECK_CRC32), id="crc32"),
    pytest.param(compressed(check=lzma.CHECK_SHA256), id="sha256"),
    pytest.param(compressed(preset=0), id="xz-0"),
    pytest.param(compressed(preset=9 | lzma.PRESET_EXTREME), id="xz-9e"),
    pytest.param(filtered(DELTA), id="delta"),
    pytest.param(filtered(BCJ_X86), id="bcj"),
    pytest.param(filtered(DELTA, BCJ_X86), id="delta-and-bcj"),
    pytest.param(with_check(1), id="check-said-as-it-is"),
]


@pytest.mark.parametrize("archive", ACCEPTED)
def test_accepted(reader: Reader, archive: bytes) -> None:
    reader.accept(archive)


ENTRIES = len(GOOD) + 1
NAME = b"d/" * 7 + b"n" * 20
FILE = with_good(pax(path=NAME) + entry(b"x", MUCH))
PLAIN = with_good(entry(NAME, MUCH))
PACKED, PACKED_FILE = quickly(PLAIN), quickly(FILE)

# A limit, an archive that just keeps it, and what is said of one that passes it by one.
EDGES = [
    pytest.param({"compressed": len(PACKED)}, PACKED, "is larger than 3 MiB", id="compressed"),
    pytest.param({"tar": len(PLAIN)}, PACKED, "unpacks to more than 3 MiB", id="bytes"),
    pytest.param({"file": len(MUCH)}, PACKED, "has an entry of 3145728 bytes", id="file"),
    pytest.param({"entries": ENTRIES}, PACKED, "has more than 4 entries", id="files"),
    pytest.param(
        {"entries": ENTRIES + 1}, PACKED_FILE, "more than 5 entries", id="headers-count-too"
    ),
    pytest.param({"name": len(NAME)}, PACKED, "has a name of 34 bytes", id="name"),
    pytest.param({"component": 20}, PACKED, "too deep or too long", id="component"),
    pytest.param({"depth": 8}, PACKED, "too deep or too long", id="depth"),
    pytest.param(
        {"extension": 43}, PACKED_FILE, "an oversized extended header", id="extended-header"
    ),
]


def bounded(monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]) -> None:
    monkeypatch.setattr("droidheaders.transfer.Limits", partial(Limits, **limits))


@pytest.mark.parametrize(("limits", "archive", "says"), EDGES)
def test_at_the_limit(
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, int],
    archive: bytes,
    says: str,
) -> None:
    limits = {"name": 64, "component": 64, "depth": 64} | limits
    bounded(monkeypatch, limits)
    reader.accept(archive)


@pytest.mark.parametrize(("limits", "archive", "says"), EDGES)
def test_behind_the_limit(
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, int],
    archive: bytes,
    says: str,
) -> None:
    bounded(monkeypatch, {key: limit - 1 for key, limit in limits.items()})
    assert says in reader.refuse(archive)


def test_real_archives_are_far_from_every_limit() -> None:
    """The largest of some thirty that were opened; see the class."""
    limits = Limits()
    assert limits.compressed >= 8 * 16 * MIB
    assert limits.tar >= 10 * 60 * 10**6
    assert limits.entries >= 5 * (20_000 + 19_000)
    assert limits.file >= 2 * 2 * 10**6
    assert limits.dictionary > 65 * MIB
