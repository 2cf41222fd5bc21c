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
