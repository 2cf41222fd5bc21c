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
_SPARSE = b"S"
_PAX, _GLOBAL, _LONG_NAME, _LONG_TARGET = b"x", b"g", b"L", b"K"
_OURS = ("path", "linkpath", "size")  # of what a pax header may say


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
    extended = _Extended()
    while (header := bytes(blocks.take(BLOCK))) != _ZERO:
        count += 1
        if count > limits.entries:
            raise ArchiveError(f"has more than {limits.entries} entries")
        _check_sum(header)
        if (flag := header[156:157]) in _Extended.FLAGS:
            size = _number(header[124:136])
            if size > limits.extension:
                raise ArchiveError("has an oversized extended header")
            extended.add(flag, bytes(_content(blocks, size)))
            continue
        yield _member(header, extended.values, blocks, limits)
        if extended.flags:
            extended = _Extended()
    if extended.flags:
        raise ArchiveError("has an extended header with no entry behind it")
    _check_end(blocks)


def _member(header: bytes, extended: dict[str, bytes], blocks: _Blocks, limits: Limits) -> Member:
    flag = header[156:157]
    kind = _KINDS.get(flag, f"type {flag!r}")
    name = extended.get("path", _name(header))
    target = extended.get("linkpath", header[157:257].split(b"\0", 1)[0])
    size = _decimal(extended["size"]) if "size" in extended else _number(header[124:136])
    if flag == b"\0" and name.endswith(b"/"):
        kind = DIRECTORY  # how tar before ustar said so
    # Of the rest, one reader makes something else than another.
    if size > limits.file:
        raise ArchiveError(f"has an entry of {size} bytes")
    if flag == _SPARSE:
        raise ArchiveError("has a sparse file")
    if size and kind != FILE:
        raise ArchiveError(f"has a {kind} with content")
    if name.endswith(b"/") and kind != DIRECTORY:
        raise ArchiveError(f"has a {kind} whose name ends in a slash")
    return Member(name, kind, target, _content(blocks, size))


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


class _Extended:
    """What the headers before an entry's own say about it: `path`, `linkpath`, `size` and others.

    Where two of them may say the same, readers differ about which one counts, so that is refused.
    """

    FLAGS = (_PAX, _GLOBAL, _LONG_NAME, _LONG_TARGET)

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.flags: list[bytes] = []

    def add(self, flag: bytes, data: bytes) -> None:
        """Take in one extended header; ArchiveError when it is malformed or one too many."""
        if flag == _GLOBAL:  # `git archive` puts a comment there
            if any(_counts(key) for key, _ in _records(data)):
                raise ArchiveError("has a global header that names or measures entries")
            return
        if flag in self.flags or (self.flags and _PAX in (flag, *self.flags)):
            raise ArchiveError("has an entry with two extended headers")
        self.flags.append(flag)
        if flag == _PAX:
            self.values.update(_records(data))
        else:
            self.values["path" if flag == _LONG_NAME else "linkpath"] = data.rstrip(b"\0")
        if any(key.startswith("GNU.sparse.") for key in self.values):
            raise ArchiveError("has a sparse file")
        if b"" in (self.values.get(key) for key in _OURS):
            raise ArchiveError("has a malformed extended header")


def _counts(key: str) -> bool:
    return key in _OURS or key.startswith("GNU.sparse.")


def _records(data: bytes) -> list[tuple[str, bytes]]:
    """Take a pax header apart: "LENGTH KEY=VALUE\\n", where the length counts all of it."""
    records = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        end = at + _decimal(data[at : max(space, at)])
        key, equals, value = data[space + 1 : end].partition(b"=")
        if not (space < end <= len(data) and equals and value.endswith(b"\n")):
            raise ArchiveError("has a malformed extended header")
        records.append((key.decode("utf-8", "replace"), value[:-1]))
        at = end
    return records


def is_header(block: bytes) -> bool:
    """Tell whether these 512 bytes are the header of a tar entry."""
    try:
        _check_sum(block)
    except (ArchiveError, IndexError):
        return False
    return len(block) == BLOCK


def _check_sum(header: bytes) -> None:
    stated = _number(header[148:156])
    if stated != sum(header) - sum(header[148:156]) + 8 * 0x20:
        raise ArchiveError("has a damaged tar header, or is not a tar archive")


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU base-256, for values that octal cannot hold
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    # int() alone would take "+7" and "1_0", and readers differ about a NUL before the digits.
    digits = field.rstrip(b" \0").lstrip(b" ")
    if not digits or digits.strip(b"01234567"):
        raise ArchiveError("has a damaged tar header, or is not a tar archive")
    return int(digits, 8)


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise ArchiveError("has a malformed extended header")
    return int(text)


def _check_end(blocks: _Blocks) -> None:
    if bytes(blocks.take(BLOCK)) != _ZERO:
        raise ArchiveError("has only half of tar's end marker")
    for piece in blocks.rest():
        if piece.tobytes().strip(b"\0"):
            raise ArchiveError("has data behind tar's end marker")
