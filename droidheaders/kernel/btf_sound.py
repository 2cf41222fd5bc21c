"""Is BTF from a device fit to be given to other programs, and to a compiler as C?"""

from __future__ import annotations

import re

from droidheaders.kernel.btf import (
    ARRAY,
    CONST,
    DATASEC,
    DECL_TAG,
    ENUM,
    ENUM64,
    FUNC,
    FUNC_PROTO,
    PTR,
    RESTRICT,
    STRUCT,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VAR,
    VOLATILE,
    Btf,
)

# bpftool writes names into C as they are: one with a quote or a line end could be any code, such
# as asm(".incbin ..."). Those of real kernels have letters, digits, "_" and ".", blanks in int's,
# and brackets in a tag such as address_space(1), of kernels since 6.15.
_NAMES = re.compile(rb"\0(?:[\w .$<>:,&@()-]*\0)*", re.ASCII)
_REFERRING = frozenset(
    {PTR, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DECL_TAG, TYPE_TAG}
)
# Words of each element, and which of them are a name and a type: include/uapi/linux/btf.h.
_ELEMENTS: dict[int, tuple[int, int | None, int | None]] = {
    STRUCT: (3, 0, 1),
    UNION: (3, 0, 1),
    ENUM: (2, 0, None),
    ENUM64: (3, 0, None),
    FUNC_PROTO: (2, 0, 1),
    DATASEC: (3, None, 0),
}


def kinds_of_sound(data: bytes) -> set[int]:
    """Return the kinds of types in BTF all of whose types and names are there, and fit for C.

    Raises ValueError, the end of a sentence about the BTF, for any other. Takes 0.3 s for a
    kernel's.
    """
    words, offsets, strings = Btf(data).raw()
    if not _NAMES.fullmatch(strings):
        raise ValueError("has names that are none in C")
    kinds = set()
    last_type = last_name = 0
    for at in offsets[1:]:
        info = words[at + 1]
        kind = info >> 24 & 0x1F
        kinds.add(kind)
        last_name = max(last_name, words[at])
        if kind in _REFERRING:
            last_type = max(last_type, words[at + 2])
        elif kind == ARRAY:
            last_type = max(last_type, words[at + 3], words[at + 4])
        if kind in _ELEMENTS and (count := info & 0xFFFF):
            width, name, type_ = _ELEMENTS[kind]
            elements = words[at + 3 : at + 3 + width * count]
            if name is not None:
                last_name = max(last_name, *elements[name::width])
            if type_ is not None:
                last_type = max(last_type, *elements[type_::width])
    if last_type >= len(offsets):
        raise ValueError(f"has no type {last_type}, which it refers to")
    if last_name >= len(strings):
        raise ValueError("has a string that is not there")
    return kinds
