"""One whole xz stream of the stated size, or a refusal that says why."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.headers.limits import ArchiveError, Limits
from droidheaders.headers.xz import XzStream
from tests.archives import xz

PLAIN = b"#define A 1\n" * 5000
WHOLE = xz(PLAIN)


def pieces(data: bytes, size: int = 4096) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def read(data: bytes, *, expected: int | None = None, limits: Limits | None = None) -> bytes:
    return b"".join(XzStream(pieces(data), expected=expected, limits=limits))


def test_whole_stream_is_passed_on_and_described() -> None:
    copy = io.BytesIO()
    stream = XzStream(pieces(WHOLE), expected=len(WHOLE), copy=copy)
    assert b"".join(stream) == PLAIN
    assert copy.getvalue() == WHOLE
    assert (stream.size, stream.sha256) == (len(WHOLE), hashlib.sha256(WHOLE).hexdigest())


@given(st.integers(1, 200))
def test_chunk_boundaries_do_not_matter(size: int) -> None:
    assert b"".join(XzStream(pieces(WHOLE, size))) == PLAIN


@pytest.mark.parametrize("cut", [1, 4, 12, 40, len(WHOLE) - 20])
def test_truncated(cut: int) -> None:
    """LZMADecompressor says nothing when only the last byte is missing."""
    with pytest.raises(ArchiveError, match="is cut off"):
        read(WHOLE[:-cut])
    with pytest.raises(ArchiveError, match=f"ended after {len(WHOLE) - cut} of the"):
        read(WHOLE[:-cut], expected=len(WHOLE))


@pytest.mark.parametrize("tail", [b"x", bytes(4), b"junk" * 5000, WHOLE])
def test_anything_behind_the_stream(tail: bytes) -> None:
    """Neither junk, nor xz padding, nor a second stream: the kernel writes none of them."""
    with pytest.raises(ArchiveError, match="goes on behind the end"):
        read(WHOLE + tail)
    with pytest.raises(ArchiveError, match="is longer than"):
        read(WHOLE + tail, expected=len(WHOLE))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b"\x1f\x8b" + bytes(100), "is not xz"),
        (b"<html>", "is not xz"),
        (b"\xfd7zXZ", "is cut off"),
        (WHOLE[:100] + bytes([WHOLE[100] ^ 1]) + WHOLE[101:], "is damaged"),
    ],
)
def test_not_xz(data: bytes, why: str) -> None:
    with pytest.raises(ArchiveError, match=why):
        read(data)


def test_a_bomb_stops_at_the_ratio() -> None:
    bomb = lzma.compress(bytes(64 << 20))
    with pytest.raises(ArchiveError, match="expands more than 100 times"):
        read(bomb)


def test_a_large_archive_stops_at_the_size() -> None:
    with pytest.raises(ArchiveError, match="unpacks to more than 0 MiB"):
        read(WHOLE, limits=Limits(tar=1000))
    with pytest.raises(ArchiveError, match="is larger than 0 MiB"):
        read(WHOLE, limits=Limits(compressed=100))


def test_a_huge_dictionary_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 128 << 20}]
    data = lzma.compress(PLAIN, filters=filters)
    with pytest.raises(ArchiveError, match="needs more than 66 MiB"):
        read(data)
    with_preset_9 = lzma.compress(PLAIN, preset=9)
    assert read(with_preset_9) == PLAIN


def test_the_source_s_own_error_comes_through() -> None:
    def chunks() -> Iterator[bytes]:
        yield WHOLE[:50]
        raise ConnectionError("unplugged")

    with pytest.raises(ConnectionError, match="unplugged"):
        list(XzStream(chunks()))


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()
    stream = iter(XzStream(pieces(xz(PLAIN * 500))))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_leaving_does_not_wait_for_a_source_that_stalls() -> None:
    stalled = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield xz(os.urandom(2 << 20))[: 1 << 20]
        stalled.wait(30)

    stream = iter(XzStream(chunks()))
    next(stream)
    started = time.monotonic()
    stream.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 10
    stalled.set()


@given(st.binary(max_size=300))
def test_garbage_is_never_accepted(data: bytes) -> None:
    with pytest.raises(ArchiveError):
        read(b"\xfd7zXZ\x00" + data)
