"""The archive's tar layer: ustar, GNU and pax headers read in one pass, strictly.

Written here, and the only reader of device archives, because `tarfile` with filter="data" was seen
to write outside its destination on several Python versions (CVE-2025-4517), and because two
readers that disagree about one archive are a hole of their own. The format is POSIX.1-2017 pax(1)
and GNU tar's manual, "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from droidheaders.headers.limits import ArchiveError, Limits

BLOCK = 512
_ZERO = bytes(BLOCK)

FILE, DIRECTORY, SYMLINK, HARDLINK = "file", "directory", "symlink", "hardlink"
_KINDS = {
    b"0": FILE,
    b"\0": FILE,
    b"7": FILE,  # contiguous file
    b"1": HARDLINK,
    b"2": SYMLINK,
    b"3": "character device",
    b"4": "block device",
    b"5": DIRECTORY,
    b"6": "fifo",
}
_EMPTY = frozenset(_KINDS.values()) - {FILE}


@dataclass(slots=True)
class Member:
    """One entry: `name` and `target` are the archive's bytes, `data` the content of a file."""

    name: bytes
    kind: str
    target: bytes
    data: memoryview


class _Blocks:
    """A forward-only view of decompressed chunks that hands out exact lengths."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._view = memoryview(b"")
        self._at = 0

    def take(self, size: int) -> memoryview:
        """Return exactly `size` bytes; ArchiveError when the stream ends before."""
        end = self._at + size
        if end <= len(self._view):
            piece = self._view[self._at : end]
            self._at = end
            return piece
        parts = [self._view[self._at :]]
        missing = size - len(parts[0])
        while missing > 0:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise ArchiveError("ends in the middle of a tar entry")
            self._view = memoryview(chunk)
            self._at = min(missing, len(chunk))
            parts.append(self._view[: self._at])
            missing -= self._at
        return memoryview(b"".join(parts))

    def rest(self) -> Iterator[memoryview]:
        """Yield all that is left, to the stream's end."""
        yield self._view[self._at :]
        for chunk in self._chunks:
            yield memoryview(chunk)


def members(chunks: Iterator[bytes], limits: Limits) -> Iterator[Member]:
    """Yield the members of a tar stream in order.

    Raises ArchiveError for a bad checksum, a stream that ends early, a missing end marker, data
    behind it, or a limit passed. The chunks are read to their end, so that their source has
    checked itself when this returns.
    """
    blocks = _Blocks(chunks)
    count = 0
    extended: dict[str, bytes] = {}
    while True:
        header = bytes(blocks.take(BLOCK))
        if header == _ZERO:
            break
        count += 1
        if count > limits.entries:
            raise ArchiveError(f"has more than {limits.entries} entries")
        _check_sum(header)
        size = _number(header[124:136])
        flag = header[156:157]
        if flag in b"xgLK":
            if size > limits.extension:
                raise ArchiveError("has an oversized extended header")
            _extend(extended, flag, bytes(_content(blocks, size)))
            continue
        extended["size"] = extended.get("size", b"%d" % size)
        yield _member(header, extended, blocks, limits)
        extended = {}
    _check_end(blocks)


def _member(header: bytes, extended: dict[str, bytes], blocks: _Blocks, limits: Limits) -> Member:
    flag = header[156:157]
    kind = _KINDS.get(flag, f"type {flag!r}")
    size = _decimal(extended["size"])
    if size > limits.file:
        raise ArchiveError(f"has an entry of {size} bytes")
    if size and kind in _EMPTY:
        raise ArchiveError(f"has a {kind} with content")  # readers differ about what follows
    name = extended.get("path", _name(header))
    target = extended.get("linkpath", header[157:257].split(b"\0", 1)[0])
    data = _content(blocks, size)
    if kind == FILE and name.endswith(b"/"):
        kind = DIRECTORY  # how tar before ustar said so
    return Member(name, kind, target, data)


def _name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0]
    # GNU keeps times in the prefix field; only "ustar\0" has one.
    if prefix and header[257:263] == b"ustar\0":
        return prefix + b"/" + name
    return name


def _content(blocks: _Blocks, size: int) -> memoryview:
    padded = -(-size // BLOCK) * BLOCK
    return blocks.take(padded)[:size]


def _extend(extended: dict[str, bytes], flag: bytes, data: bytes) -> None:
    if flag == b"g":
        return  # global defaults (git archive puts a comment here); none that names a file is ours
    if flag in b"LK":
        extended["path" if flag == b"L" else "linkpath"] = data.rstrip(b"\0")
        return
    while data:
        length, space, _ = data.partition(b" ")
        end = _decimal(length) if space else 0
        record = data[len(length) + 1 : end]
        if end <= len(length) + 1 or len(record) != end - len(length) - 1 or record[-1:] != b"\n":
            raise ArchiveError("has a malformed pax header")
        key, equals, value = record[:-1].partition(b"=")
        if not equals:
            raise ArchiveError("has a malformed pax header")
        extended[key.decode("utf-8", "replace")] = value
        data = data[end:]


def _check_sum(header: bytes) -> None:
    stated = _number(header[148:156])
    if stated != sum(header) - sum(header[148:156]) + 8 * 0x20:
        raise ArchiveError("has a damaged tar header, or is not a tar archive")


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU base-256, for values that octal cannot hold
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    try:
        if digits.isdigit():  # int() alone would take "+7" and "1_0"
            return int(digits, 8)
    except ValueError:
        pass
    raise ArchiveError("has a damaged tar header, or is not a tar archive")


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise ArchiveError("has a malformed pax header")
    return int(text)


def _check_end(blocks: _Blocks) -> None:
    if bytes(blocks.take(BLOCK)) != _ZERO:
        raise ArchiveError("has only half of tar's end marker")
    for piece in blocks.rest():
        if piece.tobytes().strip(b"\0"):
            raise ArchiveError("has data behind tar's end marker")
