"""The section .BTF.ext of a BPF object: which instruction is relocated, and on which line it is.

The layout is that of struct btf_ext_header and btf_ext_info_sec in libbpf's libbpf_internal.h.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from droidheaders.kernel.btf import Btf

_MAGIC = 0xEB9F


@dataclass(frozen=True)
class Relocation:
    """One struct bpf_core_relo; `instruction` counts from the start of the section of code."""

    section: str
    instruction: int
    type: int
    access: str
    kind: int


class Lines:
    """Where in the source instructions are from."""

    def __init__(self, ext: bytes, btf: Btf) -> None:
        """Take the line info; ValueError when it is damaged."""
        self._btf = btf
        self._of: dict[str, list[tuple[int, int, int]]] = {}
        for section, at in _records(ext, btf, 16, 16):
            offset, file, _, line = struct.unpack_from("<IIII", ext, at)
            self._of.setdefault(section, []).append((offset // 8, file, line >> 10))
        for lines in self._of.values():
            lines.sort()

    def line(self, section: str, instruction: int) -> str:
        """Return FILE:LINE of an instruction, or "" when nothing tells; FILE has no directories."""
        lines = self._of.get(section, [])
        found = bisect_right(lines, (instruction, 1 << 32, 0)) - 1
        if found < 0:
            return ""
        _, file, number = lines[found]
        return f"{self._btf.text(file).rpartition('/')[2]}:{number}"


def relocations(ext: bytes, btf: Btf) -> Iterator[Relocation]:
    """Yield the CO-RE relocations in their order; raises ValueError when they are damaged."""
    for section, at in _records(ext, btf, 24, 16):
        offset, kind_of, access, kind = struct.unpack_from("<IIII", ext, at)
        if offset % 8:
            raise ValueError("has a relocation between two instructions")
        yield Relocation(section, offset // 8, kind_of, btf.text(access), kind)


def _records(ext: bytes, btf: Btf, field: int, least: int) -> Iterator[tuple[str, int]]:
    """Yield section and place of each record of the part whose offset is at `field`."""
    if len(ext) < 24:
        raise ValueError("has a .BTF.ext section that is cut off")
    magic, header = struct.unpack_from("<H2xI", ext)
    if magic != _MAGIC:
        raise ValueError("has a .BTF.ext section that is none")
    if header < field + 8 or len(ext) < field + 8:
        return  # core_relo is not in the header of clang before 10
    offset, length = struct.unpack_from("<II", ext, field)
    at, end = header + offset, header + offset + length
    if not length:
        return
    if end > len(ext) or length < 4:
        raise ValueError("has a .BTF.ext section that is cut off")
    (size,) = struct.unpack_from("<I", ext, at)
    if size < least:
        raise ValueError("has a .BTF.ext section with records that are too short")
    at += 4
    while at < end:
        if at + 8 > end:
            raise ValueError("has a .BTF.ext section that is cut off")
        name, count = struct.unpack_from("<II", ext, at)
        at += 8
        if at + count * size > end:
            raise ValueError("has a .BTF.ext section that is cut off")
        section = btf.text(name)
        for _ in range(count):
            yield section, at
            at += size
