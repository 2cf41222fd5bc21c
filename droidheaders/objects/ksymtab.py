"""What a kernel's image exports: its tables of struct kernel_symbol, and of their CRCs.

Found without kallsyms, and without the address that the kernel is linked for. RO_DATA of
include/asm-generic/vmlinux.lds.h lays them out: all entries that are for everybody, all that are
for GPL modules, both sorted by name, then the CRC of each in the same order, then the names. An
entry is relative to itself (7290d5809571) where the architecture has PREL32 relocations, as arm64
and x86 do since 4.19; elsewhere it has addresses.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from typing import NamedTuple

from droidheaders.kernel.exports import Export

_NAME = re.compile(rb"([A-Za-z_][A-Za-z0-9_.$]{0,510})\0")  # KSYM_NAME_LEN
_NAMESPACE = re.compile(rb"([\x21-\x7e]{0,510})\0")
_SAMPLED = 768  # bytes: 64 entries of 12, of which kernels have 5,000 to 11,000
_ALIKE = 4  # entries that follow each other, sorted, where a table is believed to be
_ENTRIES = 1 << 17
_PADDING = 64  # bytes before the names
_SPAN = 8 << 20  # bytes that the names may have
_KERNEL = 0xFFFF << 48  # addresses of kernels of 64 bits lie above


class _Entry(NamedTuple):
    """A symbol's name, its namespace, None in a kernel without them, and where the name is."""

    name: bytes
    namespace: bytes | None
    at: int


class _Run(NamedTuple):
    """Entries that follow each other, and where they end."""

    entries: list[_Entry]
    end: int


def read(view: memoryview) -> dict[str, Export]:
    """Return the exports in an uncompressed kernel, by name; `module` is vmlinux.

    A CRC is None in a kernel without MODVERSIONS. Raises ValueError, the end of a sentence about
    the file, when no table is found. Time and memory are bounded, whatever the image holds.
    """
    run = _relative(view, 3) or _relative(view, 2) or _absolute(view, 3) or _absolute(view, 2)
    if run is None:
        raise ValueError("has no table of exported symbols that is known here")
    crcs = _crcs(view, run)
    found: dict[str, Export] = {}
    gpl = _licences(view, run, bool(crcs))
    for number, entry in enumerate(run.entries):
        namespace = None if entry.namespace is None else entry.namespace.decode()
        crc = crcs[number] or None if crcs else None
        found.setdefault(entry.name.decode(), Export(crc, namespace, gpl[number], "vmlinux"))
    return found


def _relative(view: memoryview, width: int) -> _Run | None:
    """Return the longest table of entries of offsets, `width` of them: value, name, namespace.

    The third came with 5.4 (8651ec01daed).
    """
    words = view[: len(view) // 4 * 4].cast("i")

    def entry(index: int) -> _Entry | None:
        """Return what is at the word `index`, if it may be an entry."""
        if not 0 <= index <= len(words) - width:
            return None
        at = 4 * index + 4 + words[index + 1]
        name = _NAME.match(view, at) if 0 < at < len(view) else None
        if name is None or width == 2:
            return _Entry(name[1], None, at) if name else None
        space = 4 * index + 8 + words[index + 2]
        namespace = _NAMESPACE.match(view, space) if 0 < space < len(view) else None
        return _Entry(name[1], namespace[1], at) if namespace else None

    starts = range(0, len(words), _SAMPLED // 4)
    run = _longest(entry, (at + phase for at in starts for phase in range(width)), width)
    return _Run(run[1], 4 * (run[0] + width * len(run[1]))) if run else None


def _longest(
    entry: Callable[[int], _Entry | None], starts: Iterator[int], step: int
) -> tuple[int, list[_Entry]] | None:
    """Return the longest run of entries that one of `starts` is in, and the index it begins at."""
    best: tuple[int, list[_Entry]] | None = None
    seen, left = [0] * step, _ENTRIES
    for start in starts:
        if start < seen[start % step] or not (entry(start) and _begins(entry, start, step)):
            continue
        before = list(islice(_walk(entry, start - step, -step), left))
        after = list(islice(_walk(entry, start, step), left - len(before)))
        run = before[::-1] + after
        left -= len(run)
        seen[start % step] = start + step * len(after)
        if best is None or len(run) > len(best[1]):
            best = start - step * len(before), run
        if left <= 0:
            break
    return best


def _begins(entry: Callable[[int], _Entry | None], start: int, step: int) -> bool:
    """Tell whether entries sorted by name, or with one break among them, begin at `start`."""
    found = list(islice(_walk(entry, start, step), _ALIKE))
    unsorted = sum(a.name > b.name for a, b in pairwise(found))
    return len(found) == _ALIKE and unsorted <= 1


def _walk(entry: Callable[[int], _Entry | None], start: int, step: int) -> Iterator[_Entry]:
    while found := entry(start):
        yield found
        start += step


def _absolute(view: memoryview, width: int) -> _Run | None:
    """Return the table of entries of addresses, `width` of them, in a view of unknown address.

    The first name begins behind the CRCs, which gives the address, and it is right when all others
    are names then too. A kernel that keeps its addresses in relocations alone (RELA, zero where
    they belong) cannot be read so.
    """
    words = view[: len(view) // 8 * 8].cast("Q")
    step = _SAMPLED // 8
    seen, left = [0] * width, _ENTRIES
    for start in (at + phase for at in range(0, len(words), step) for phase in range(width)):
        if start < seen[start % width]:
            continue
        first, last = _addresses(words, start, width, left)
        seen[start % width] = last
        count = (last - first) // width
        if count >= _ALIKE and (run := _based(view, words, first, count, width)):
            return run
        left -= count
        if left <= 0:
            break
    return None


def _addresses(words: memoryview, start: int, width: int, most: int) -> tuple[int, int]:
    """Return where words begin and end that may be entries, around the one at `start`.

    No more than `most` before it, and as many behind.
    """
    near = words[start + 1] if start + width <= len(words) else 0

    def fits(index: int) -> bool:
        if near < _KERNEL or not 0 <= index <= len(words) - width or words[index] < _KERNEL:
            return False
        space = words[index + 2] if width == 3 else 0  # null where a symbol is in none
        return all(abs(word - near) < _SPAN for word in (words[index + 1], space or near))

    first = last = start
    while last < start + width * most and fits(last):
        last += width
    while start - width * most < first < last and fits(first - width):
        first -= width
    return first, last


def _based(view: memoryview, words: memoryview, first: int, count: int, width: int) -> _Run | None:
    """Return the entries if their names lie behind them, and where the first name is.

    Those of `count` CRCs come before with MODVERSIONS, and none without.
    """
    table = words[first : first + width * count].tolist()
    names, spaces = table[1::width], table[2::width] if width == 3 else [None] * count
    lowest = min([*names, *(space for space in spaces if space)])
    end = 8 * (first + width * count)
    for behind in (end + 4 * count, end):
        padding = bytes(view[behind : behind + _PADDING])
        at = behind + len(padding) - len(padding.lstrip(b"\0"))
        base = lowest - at
        entries = [_at(view, n - base, s and s - base) for n, s in zip(names, spaces, strict=True)]
        if None not in entries:
            return _Run([entry for entry in entries if entry], end)
    return None


def _at(view: memoryview, name: int, space: int | None) -> _Entry | None:
    """Return the entry of a name, in a namespace: 0 is in none, None a kernel without them."""
    told = _NAME.match(view, name) if name > 0 else None
    within = _NAMESPACE.match(view, space) if space and space > 0 else None
    if told is None or (space and within is None):
        return None
    return _Entry(told[1], space if space is None else within[1] if within else b"", name)


def _crcs(view: memoryview, run: _Run) -> tuple[int, ...]:
    """Return the CRC of each entry, or nothing where the names follow the entries at once.

    With MODULE_REL_CRCS (until 5.19, 7b4537199a4a) each is an offset to it, from its own place.
    """
    count = len(run.entries)
    behind = min((entry.at for entry in run.entries if entry.at >= run.end), default=len(view))
    if min(behind, len(view)) - run.end < 4 * count:
        return ()
    words = struct.unpack_from(f"<{count}i", view, run.end)
    places = [run.end + 4 * number + word for number, word in enumerate(words)]
    if count > 8 and all(0 < place <= len(view) - 4 for place in places):
        return tuple(struct.unpack_from("<I", view, place)[0] for place in places)
    return tuple(word & 0xFFFFFFFF for word in words)


def _licences(view: memoryview, run: _Run, crcs: bool) -> list[bool | None]:
    """Return for each entry whether it is for GPL modules only, None where that is not clear.

    Where the order of names breaks, the next table begins. Until 5.12 there may be a third and more
    (367948220fce, f1c3d73e973c). Newer kernels may have one table, with a byte of flags for each
    entry behind the CRCs.
    """
    count, number = len(run.entries), 0
    found: list[bool | None] = [False]
    for one, other in pairwise(run.entries):
        number += other.name < one.name
        found.append({0: False, 1: True}.get(number))
    if number:
        return found
    at = run.end + 4 * count * crcs
    flags = bytes(view[at : at + count])
    told = len(flags) == count and max(flags) <= 1
    return [bool(flag) for flag in flags] if told and any(flags) else [None] * count
