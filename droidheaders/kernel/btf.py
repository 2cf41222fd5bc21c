"""The kernel's own BTF, from /sys/kernel/btf/vmlinux."""

from __future__ import annotations

import struct

_MAGIC = 0xEB9F  # struct btf_header, include/uapi/linux/btf.h


def check(btf: bytes) -> None:
    """Raise ValueError unless `btf` is one whole BTF blob, types and strings, of little endian."""
    if len(btf) < 24:
        raise ValueError("is too short")
    magic, _version, _flags, header, types_at, types, strings_at, strings = struct.unpack_from(
        "<HBBIIIII", btf
    )
    if magic != _MAGIC:
        raise ValueError("is no BTF")
    if header + max(types_at + types, strings_at + strings) != len(btf):
        raise ValueError("is cut off")


# Bytes behind struct btf_type (12 bytes: name_off, info, size or type) by kind, and per element
# (vlen of them): include/uapi/linux/btf.h, "Encoding" in Documentation/bpf/btf.rst.
_EXTRA = {1: 4, 3: 12, 14: 4, 17: 4}
_EACH = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
STRUCT = 4


class Btf:
    """The types of a kernel or an object, as `check` accepts them."""

    def __init__(self, data: bytes) -> None:
        """Index the types; ValueError when they are damaged."""
        check(data)
        header, at, size, strings_at, strings = struct.unpack_from("<IIIII", data, 4)
        self._data = data
        self._strings = data[header + strings_at : header + strings_at + strings]
        self._offsets = _offsets(data, header + at, header + at + size)

    def size_of_struct(self, name: str) -> int | None:
        """Return sizeof(struct NAME) in bytes, or None when there is none."""
        for at in self._offsets:
            name_off, info, size = struct.unpack_from("<III", self._data, at)
            if info >> 24 & 0x1F == STRUCT and self._string(name_off) == name:
                return int(size)
        return None

    def _string(self, at: int) -> str:
        return self._strings[at : self._strings.find(b"\0", at)].decode("utf-8", "replace")


def _offsets(data: bytes, at: int, end: int) -> list[int]:
    offsets = []
    while at + 12 <= end:
        offsets.append(at)
        info = int.from_bytes(data[at + 4 : at + 8], "little")
        kind = info >> 24 & 0x1F
        at += 12 + _EXTRA.get(kind, 0) + _EACH.get(kind, 0) * (info & 0xFFFF)
    if at != end:
        raise ValueError("has damaged types")
    return offsets
