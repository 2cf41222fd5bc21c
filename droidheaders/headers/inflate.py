"""Decompressors of what kernels and modules are compressed with, each in bounded steps."""

from __future__ import annotations

import lzma
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import Any

from droidheaders.headers.limits import MIB, ArchiveError
from droidheaders.headers.spool import pieces
from droidheaders.headers.xz import MAGIC

LIMIT = 256 * MIB  # of a kernel: real ones have 20 to 60 MB
_MEMORY = 66 * MIB
_STEP = MIB
_LZ4_LEGACY = b"\x02\x21\x4c\x18"
_LZ4_FRAME = b"\x04\x22\x4d\x18"
_LZ4_BLOCK = 8 * MIB  # uncompressed; LEGACY_BLOCKSIZE in lz4's programs/lz4io.c
_LZ4_BOUND = _LZ4_BLOCK + _LZ4_BLOCK // 255 + 16  # LZ4_COMPRESSBOUND of lz4.h
_LZMA = b"\x5d\x00\x00"
_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1
_ZSTD_WINDOW = 27  # log2 of what the zstd command takes too, 128 MiB


def inflated(view: memoryview) -> Iterator[bytes] | None:
    """Return what `view` is compressed from, or None when it is nothing that is known here.

    What follows the compressed data is not looked at: a device tree (Image.gz-dtb), the size that
    the kernel's build appends. Iterating raises ArchiveError for damaged data.
    """
    head = bytes(view[:6])
    if head.startswith(_GZIP):
        return _gzip(view)
    if head == MAGIC:
        return _decompressed(view, lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY))
    if head.startswith(_LZMA):
        return _decompressed(view, lzma.LZMADecompressor(lzma.FORMAT_ALONE, _MEMORY))
    if head.startswith(_LZ4_LEGACY):
        return _lz4_legacy(view)
    if head.startswith(_LZ4_FRAME):
        import lz4.frame  # late: only for a kernel compressed with it

        return _decompressed(view, lz4.frame.LZ4FrameDecompressor())
    return _zstd(view) if head.startswith(_ZSTD) else None


def name(head: bytes) -> str:
    """Return what `inflated` takes data that begins like this for, or ""."""
    names = {_GZIP: "gzip", MAGIC: "xz", _LZMA: "lzma", _ZSTD: "zstd"}
    lz4 = {_LZ4_LEGACY: "lz4", _LZ4_FRAME: "lz4"}
    return next((n for magic, n in (names | lz4).items() if head.startswith(magic)), "")


def first(view: memoryview, size: int = 512) -> bytes:
    """Return the first `size` bytes of what an xz stream at the start of `view` holds, or less."""
    xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY)
    found = b""
    try:
        for piece in pieces(view[:MIB]):
            found += xz.decompress(piece, size - len(found))
            if xz.eof or len(found) >= size:
                break
    except lzma.LZMAError:
        pass
    return found


def _gzip(view: memoryview) -> Iterator[bytes]:
    gzip = zlib.decompressobj(wbits=31)
    try:
        for piece in pieces(view):
            data = piece
            while data and not gzip.eof:
                yield gzip.decompress(data, _STEP)
                data = gzip.unconsumed_tail
            if gzip.eof:
                return
    except zlib.error as e:
        raise ArchiveError(f"is compressed, and damaged: {e}") from e
    raise ArchiveError("is compressed, and cut off")


def _decompressed(view: memoryview, decompressor: Any) -> Iterator[bytes]:
    try:
        for piece in pieces(view):
            data = piece
            while not decompressor.eof:
                out = decompressor.decompress(data, _STEP)
                data = b""
                yield out
                if decompressor.needs_input or not (out or decompressor.eof):
                    break
            if decompressor.eof:
                return
    except (lzma.LZMAError, RuntimeError) as e:  # the latter is lz4's
        raise ArchiveError(f"is compressed, and damaged: {e}") from e
    raise ArchiveError("is compressed, and cut off")


def _zstd(view: memoryview) -> Iterator[bytes]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd  # late: only for a module compressed with it
    options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW}
    try:
        yield from _decompressed(view, zstd.ZstdDecompressor(options=options))
    except zstd.ZstdError as e:
        raise ArchiveError(f"is compressed, and damaged: {e}") from e


def _lz4_legacy(view: memoryview) -> Iterator[bytes]:
    """Decompress what `lz4 -l` makes, as the kernel's build does: lib/decompress_unlz4.c."""
    import lz4.block  # late: only for a kernel compressed with it

    at = len(_LZ4_LEGACY)
    while len(view) - at > 4:  # four bytes that are left are the appended size
        (size,) = struct.unpack_from("<I", view, at)
        if view[at : at + 4] == _LZ4_LEGACY:  # two files, one behind the other
            at += 4
            continue
        at += 4
        if size > _LZ4_BOUND and at > 8:  # no block: a device tree behind the last (Image.lz4-dtb)
            return
        if at + size > len(view):
            raise ArchiveError("is compressed, and cut off")
        try:
            yield lz4.block.decompress(view[at : at + size], uncompressed_size=_LZ4_BLOCK)
        except lz4.block.LZ4BlockError as e:
            raise ArchiveError(f"is compressed, and damaged: {e}") from e
        at += size
