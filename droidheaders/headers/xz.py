"""The archive's xz layer: one stream, decompressed in a thread, whole or refused.

Python's LZMADecompressor is silent about a missing last byte, about junk behind the stream, about
a second stream and about a missing checksum, so each of these is asked for here.
"""

from __future__ import annotations

import hashlib
import lzma
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from droidheaders.headers.limits import MIB, ArchiveError, Limits

MAGIC = b"\xfd7zXZ\x00"
_CHECKS = (lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256)
_STEP = MIB // 2
_SLACK = MIB  # below this much output a ratio means nothing
_QUEUED = 12


class XzStream:
    """Compressed chunks in, decompressed chunks out, with lzma running beside the consumer.

    liblzma releases the GIL, so decompressing and writing files overlap. While chunks pass, `copy`
    receives the compressed bytes as they came, and `size` and `sha256` describe them afterwards.
    Bytes behind the stream refuse it, unless there is a `tail` to put them into.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        *,
        expected: int | None = None,
        copy: BinaryIO | None = None,
        tail: bytearray | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._chunks = chunks
        self._expected = expected
        self._copy = copy
        self._tail = tail
        self._limits = limits or Limits()
        self._sha = hashlib.sha256()
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_QUEUED)
        self._stopped = threading.Event()
        self._received = 0
        self.size = 0
        self.sha256 = ""

    def __iter__(self) -> Iterator[bytes]:
        """Yield decompressed chunks of at most 512 KiB.

        Raises ArchiveError for everything that is not exactly one whole xz stream of the expected
        size, and whatever the source of the chunks raises.
        """
        thread = threading.Thread(target=self._run, name="xz", daemon=True)
        thread.start()
        try:
            while (item := self._got()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            # No join: the thread may be waiting for the source, which whoever owns it closes next.
            self._stopped.set()

    def _got(self) -> bytes | BaseException | None:
        """Return the next item, and obey Ctrl-C while there is none.

        CPython notices a signal that comes between its last look and the wait only when the wait
        ends, and another thread makes that gap milliseconds long: a wait without an end lost one
        Ctrl-C in a hundred.
        """
        while True:
            try:
                return self._queue.get(timeout=0.5)
            except queue.Empty:
                continue

    def _run(self) -> None:
        try:
            for out in self._decompressed():
                if not self._put(out):
                    return
            self._put(None)
        except BaseException as e:  # handed to the consumer, which raises it
            self._put(e)

    def _put(self, item: bytes | BaseException | None) -> bool:
        """Hand an item to the consumer; False when it has left."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def _decompressed(self) -> Iterator[bytes]:
        limits = self._limits
        xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.dictionary)
        produced = 0
        try:
            for chunk in self._taken():
                data = chunk
                while not xz.eof:
                    out = xz.decompress(data, _STEP)
                    data = b""
                    produced += len(out)
                    if produced > limits.tar:
                        raise ArchiveError(f"unpacks to more than {limits.tar // MIB} MiB")
                    if produced > _SLACK + limits.ratio * self._received:
                        raise ArchiveError(f"expands more than {limits.ratio} times")
                    if out:
                        yield out
                    if xz.needs_input:
                        break
                else:
                    # What is behind the end: of this chunk where it ended, else all of it.
                    data = data or xz.unused_data
                    if data:
                        self._behind(data)
                self._keep(chunk[: len(chunk) - len(data)])
        except lzma.LZMAError as e:
            raise ArchiveError(self._explain(e)) from e
        self._check_end(xz)

    def _taken(self) -> Iterator[bytes]:
        """Pass the chunks on, counted, the first bytes and the limits checked."""
        first = b""
        for chunk in self._chunks:
            if len(first) < len(MAGIC):
                first = (first + bytes(chunk[: len(MAGIC)]))[: len(MAGIC)]
                if not MAGIC.startswith(first):
                    raise ArchiveError("is not xz")
            self._received += len(chunk)
            if self._received > self._limits.compressed:
                raise ArchiveError(f"is larger than {self._limits.compressed // MIB} MiB")
            if self._expected is not None and self._received > self._expected:
                raise ArchiveError(f"is longer than the {self._expected} bytes it says")
            yield chunk

    def _keep(self, data: bytes) -> None:
        """Count, hash and copy what belongs to the stream."""
        self.size += len(data)
        self._sha.update(data)
        if self._copy is not None:
            self._copy.write(data)

    def _behind(self, data: bytes) -> None:
        if self._tail is None:
            raise ArchiveError("goes on behind the end of its xz stream")
        self._tail += data

    def _check_end(self, xz: lzma.LZMADecompressor) -> None:
        if self._expected is not None and self.size < self._expected:
            raise ArchiveError(f"ended after {self.size} of the {self._expected} bytes it says")
        if not self.size:
            raise ArchiveError("is empty")
        if not xz.eof:
            raise ArchiveError(f"is cut off: its xz stream has no end after {self.size} bytes")
        if xz.check not in _CHECKS:  # liblzma passes over a check that it does not know
            raise ArchiveError("has no checksum that can be verified")
        self.sha256 = self._sha.hexdigest()

    def _explain(self, error: lzma.LZMAError) -> str:
        text = str(error)
        if "Memory usage limit" in text:
            return f"needs more than {self._limits.dictionary // MIB} MiB to decompress"
        return f"is damaged: {text[:1].lower()}{text[1:]}"
