"""Tables of exported symbols made for tests, as vmlinux.lds.h lays them out."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple


class Symbol(NamedTuple):
    """One exported symbol."""

    name: str
    crc: int
    gpl: bool = False
    namespace: str = ""


SYMBOLS = sorted(
    [
        *(Symbol(f"sym_{n:03d}", 0x80000000 | n * 2654435761 & 0x7FFFFFFF) for n in range(200)),
        *(Symbol(f"gpl_{n:03d}", 0x1000193 * (n + 9) & 0xFFFFFFFF, True) for n in range(300)),
        *(Symbol(f"dma_{n:03d}", 0x9E3779B9 * (n + 1) & 0xFFFFFFFF, True, "DMA") for n in range(9)),
    ],
    key=lambda symbol: (symbol.gpl, symbol.name),
)
BASE = 0xFFFF800008000000  # where arm64 links a kernel


def image(
    symbols: Sequence[Symbol] = SYMBOLS,
    *,
    relative: bool = True,
    namespaces: bool = True,
    crcs: bool = True,
    relative_crcs: bool = False,
    flags: bool = False,
    before: bytes = b"\xd5\x03\x20\x1f" * 999,
) -> bytes:
    """Return an image with the table of `symbols`, in their order; `before` lies before it."""
    before += bytes(-len(before) % 8)
    unit = 4 if relative else 8
    width = unit * (3 if namespaces else 2)
    table = len(before)
    checks = table + width * len(symbols)
    marks = checks + 4 * len(symbols) * crcs
    strings = marks + len(symbols) * flags
    strings += -strings % 8
    texts = b""
    where: dict[str, int] = {}
    for text in [text for symbol in symbols for text in (symbol.name, symbol.namespace)]:
        if text not in where:
            where[text] = strings + len(texts)
            texts += text.encode() + b"\0"
    out = bytearray(before)
    for symbol in symbols:
        targets = [64, where[symbol.name], *([where[symbol.namespace]] if namespaces else [])]
        for target in targets:
            value = target - len(out) if relative else BASE + target
            out += struct.pack("<i" if relative else "<Q", value)
    end = strings + len(texts)
    for number, symbol in enumerate(symbols if crcs else ()):
        place = end + 4 * number
        out += struct.pack("<i", place - len(out)) if relative_crcs else _word(symbol.crc)
    out += bytes(symbol.gpl for symbol in symbols) if flags else b""
    out += bytes(strings - len(out)) + texts
    out += b"".join(_word(symbol.crc) for symbol in symbols)
    return bytes(out) + bytes(999)


def _word(crc: int) -> bytes:
    return struct.pack("<I", crc)
