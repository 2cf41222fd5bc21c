"""BTF: the types of a kernel, from /sys/kernel/btf/vmlinux, or of a BPF object, from .BTF."""

from __future__ import annotations

import re
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

_MAGIC = 0xEB9F  # struct btf_header, include/uapi/linux/btf.h

# Kinds: "Type Encoding" in Documentation/bpf/btf.rst.
INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT = range(1, 12)
FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(12, 20)

# Words behind struct btf_type by kind, and per element (vlen of them).
_EXTRA = {INT: 1, ARRAY: 3, VAR: 1, DECL_TAG: 1}
_EACH = {STRUCT: 3, UNION: 3, ENUM: 2, FUNC_PROTO: 2, DATASEC: 3, ENUM64: 3}
_WORDS = [3 + _EXTRA.get(kind, 0) for kind in range(ENUM64 + 1)]
_SKIPPED = frozenset({TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG})
_FEW = 16  # offsets of one name, up to which a search for each beats one pass
_DEPTH = 64  # of modifiers and arrays in one another: real ones have up to 8
FLAVOR = re.compile(r"(.*[^_])___[^_].*", re.DOTALL)


class BtfType(NamedTuple):
    """One type: struct btf_type. `value` is its size or the type it refers to, by kind."""

    kind: int
    name: str
    vlen: int
    flag: bool
    value: int


class Member(NamedTuple):
    """A member of a struct or union; offset and size in bits, size 0 unless it is a bitfield."""

    name: str
    type: int
    offset: int
    bits: int


def check(btf: bytes) -> None:
    """Raise ValueError unless `btf` is one whole BTF blob, types and strings, of little endian."""
    _parts(btf)


def _parts(btf: bytes) -> tuple[int, int, int, int]:
    """Return where types begin and end, and strings."""
    if len(btf) < 24:
        raise ValueError("is too short")
    magic, _version, _flags, header, types_at, types, strings_at, strings = struct.unpack_from(
        "<HBBIIIII", btf
    )
    if magic == int.from_bytes(_MAGIC.to_bytes(2, "big"), "little"):
        raise ValueError("is big-endian BTF")
    if magic != _MAGIC:
        raise ValueError("is no BTF")
    end = max(types_at + types, strings_at + strings)
    if header >= 32 and len(btf) >= 32:  # newer encoders describe the kinds behind the strings
        end = max(end, sum(struct.unpack_from("<II", btf, 24)))
    if header + end != len(btf):
        raise ValueError("is cut off")
    at, strings_from = header + types_at, header + strings_at
    return at, at + types, strings_from, strings_from + strings


class Btf:
    """The types of a kernel or an object, as `check` accepts them; ids count from 1, 0 is void.

    What is asked for and damaged raises ValueError, the end of a sentence about the file.
    """

    def __init__(self, data: bytes) -> None:
        """Index the types; ValueError when they are damaged."""
        at, end, strings_at, strings_end = _parts(data)
        if (end - at) % 4:
            raise ValueError("has damaged types")
        self._words = _words(data[at:end])
        self._strings = bytes(data[strings_at:strings_end])
        # A dictionary of 150,000 names costs more time and memory than all questions to it.
        self._at = _offsets(self._words)
        names = array("I", [0])
        names.extend(map(self._words.__getitem__, self._at[1:]))
        self._names = names.tobytes()

    def __len__(self) -> int:
        """Return the number of types, void among them."""
        return len(self._at)

    def type(self, number: int) -> BtfType:
        """Return the type with this id."""
        if not number:
            return BtfType(0, "", 0, False, 0)
        name, info, value = self._words[self._where(number) : self._where(number) + 3]
        return BtfType(info >> 24 & 0x1F, self.text(name), info & 0xFFFF, info >> 31 != 0, value)

    def find(self, name: str, *kinds: int) -> list[int]:
        """Return the ids of all types of this name, of these kinds or of any."""
        encoded = name.encode("utf-8", "surrogateescape") + b"\0"
        return sorted(self._of_names(self._ends(encoded), kinds)) if name else []

    def flavors(self, name: str, *kinds: int) -> list[int]:
        """Return the ids of all types that are NAME or NAME___something: libbpf's candidates."""
        encoded = name.encode("utf-8", "surrogateescape")
        offsets = chain(self._ends(encoded + b"\0"), self._ends(encoded + b"___"))
        ids = set(self._of_names(offsets, kinds)) if name else set()
        return sorted(one for one in ids if essential(self.type(one).name) == name)

    def size_of_struct(self, name: str) -> int | None:
        """Return sizeof(struct NAME) in bytes, or None when there is none."""
        found = self.find(name, STRUCT)
        return self.type(found[0]).value if found else None

    def has_function(self, name: str) -> bool:
        """Tell whether the kernel has a function of this name, as fentry would find it."""
        return bool(self.find(name, FUNC))

    def enum(self, name: str) -> Mapping[str, int]:
        """Return the enumerators of enum NAME, of all that are called so; none when none is."""
        found = self.find(name, ENUM, ENUM64)
        return dict(chain.from_iterable(map(self.enumerators, found)))

    def enumerators(self, number: int) -> Iterator[tuple[str, int]]:
        """Yield name and value of each enumerator of an enum."""
        at, one = self._where(number) + 3, self.type(number)
        if one.kind == ENUM:
            # The flag says that it is signed, of encoders since 2022; libbpf takes all for __s32.
            for name, value in self._elements(at, one.vlen, 2):
                yield self.text(name), (value ^ 0x80000000) - 0x80000000
        elif one.kind == ENUM64:
            sign = 1 << 63 if one.flag else 0
            for name, low, high in self._elements(at, one.vlen, 3):
                yield self.text(name), ((high << 32 | low) ^ sign) - sign

    def members(self, number: int) -> Iterator[Member]:
        """Yield the members of a struct or union."""
        one = self.type(number)
        if one.kind not in (STRUCT, UNION):
            return
        for name, kind, offset in self._elements(self._where(number) + 3, one.vlen, 3):
            if one.flag:
                yield Member(self.text(name), kind, offset & 0xFFFFFF, offset >> 24)
            else:
                yield Member(self.text(name), kind, offset, 0)

    def parameters(self, number: int) -> list[int]:
        """Return the types of a function prototype's parameters."""
        one = self.type(number)
        vlen = one.vlen if one.kind == FUNC_PROTO else 0
        return [kind for _, kind in self._elements(self._where(number) + 3, vlen, 2)]

    def variables(self, number: int) -> Iterator[tuple[int, int, int]]:
        """Yield type, offset and size of what a DATASEC lists."""
        one = self.type(number)
        vlen = one.vlen if one.kind == DATASEC else 0
        yield from self._elements(self._where(number) + 3, vlen, 3)  # type: ignore[misc]

    def array(self, number: int) -> tuple[int, int]:
        """Return the type of an array's elements, and how many there are."""
        at = self._where(number) + 3
        return self._words[at], self._words[at + 2]

    def extra(self, number: int) -> int:
        """Return the word behind an INT (encoding, offset, bits) or VAR (linkage)."""
        return self._words[self._where(number) + 3]

    def plain(self, number: int) -> int:
        """Return the type without typedefs and qualifiers around it."""
        for _ in range(_DEPTH):
            one = self.type(number)
            if one.kind not in _SKIPPED:
                return number
            number = one.value
        raise ValueError("has a type that refers to itself")

    def size(self, number: int) -> int:
        """Return the size of a type in bytes, a pointer's being 8."""
        times = 1
        for _ in range(_DEPTH):
            number = self.plain(number)
            one = self.type(number)
            if one.kind == PTR:
                return 8 * times
            if one.kind != ARRAY:
                sized = one.kind in (INT, STRUCT, UNION, ENUM, ENUM64, FLOAT, DATASEC)
                return one.value * times if sized else 0
            number, length = self.array(number)
            times *= length
        raise ValueError("has a type that refers to itself")

    def text(self, at: int) -> str:
        """Return the string at an offset of the string section."""
        end = self._strings.find(b"\0", at)
        if end < 0:
            raise ValueError("has a string that is not there")
        return self._strings[at:end].decode("utf-8", "surrogateescape")

    def raw(self) -> tuple[Sequence[int], Sequence[int], bytes]:
        """Return the words of all types, where each begins (that of void is none), the strings."""
        return self._words, self._at, self._strings

    def _where(self, number: int) -> int:
        if not 0 < number < len(self._at):
            raise ValueError(f"has no type {number}, which it refers to")
        return self._at[number]

    def _elements(self, at: int, vlen: int, width: int) -> Iterator[tuple[int, ...]]:
        words = iter(self._words[at : at + vlen * width])
        return zip(*[words] * width, strict=True)

    def _ends(self, wanted: bytes) -> Iterator[int]:
        """Yield where a string begins with `wanted`, or one ends so: tables may share tails."""
        at = self._strings.find(wanted)
        while at >= 0:
            yield at
            at = self._strings.find(wanted, at + 1)

    def _of_names(self, offsets: Iterable[int], kinds: tuple[int, ...]) -> Iterator[int]:
        wanted = set(offsets)
        if len(wanted) <= _FEW:
            found: Iterator[int] = chain.from_iterable(map(self._named, wanted))
        else:
            names = memoryview(self._names).cast("I")
            found = (number for number, name in enumerate(names) if number and name in wanted)
        return (one for one in found if not kinds or self.type(one).kind in kinds)

    def _named(self, offset: int) -> Iterator[int]:
        wanted = struct.pack("=I", offset)
        at = self._names.find(wanted, 4)
        while at >= 0:
            if at % 4 == 0:
                yield at // 4
            at = self._names.find(wanted, at + 1)


def essential(name: str) -> str:
    """Return the name without the flavor that libbpf ignores: task_struct___old is task_struct."""
    found = FLAVOR.fullmatch(name)
    return found[1] if found else name


def _words(data: bytes) -> array[int]:
    words = array("I", data)
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _offsets(words: array[int]) -> array[int]:
    """Return where each type begins."""
    offsets = array("I", [0])
    add = offsets.append
    at, last = 0, len(words) - 3
    while at <= last:
        add(at)
        info = words[at + 1]
        kind = info >> 24 & 0x1F
        if not 0 < kind <= ENUM64:
            raise ValueError(f"has a type of kind {kind}, which is not known")
        at += _WORDS[kind]
        if kind in _EACH:
            at += _EACH[kind] * (info & 0xFFFF)
    if at != len(words):
        raise ValueError("has damaged types")
    return offsets
