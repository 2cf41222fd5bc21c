"""A command on the device that is talked to while it runs: stdin open, stdout and stderr live."""

from __future__ import annotations

import select
import time
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from droidheaders.adb._errors import Peer, mapped
from droidheaders.adb.shell import CLOSE_STDIN, ShellDecoder, stdin_packet, understood
from droidheaders.errors import DeviceLostError

if TYPE_CHECKING:
    from droidheaders.adb._connection import Connection

_CHUNK = 256 * 1024
_PACKET = 32 * 1024  # of stdin; adbd takes it apart as it likes
_FIRST = 1 << 20  # bytes that may come before a first line has its end


class Piece(NamedTuple):
    """Something the command has written; `error` when that was to stderr."""

    error: bool
    data: bytes


class Session:
    """A running command: what it writes as it comes, and then its `status`.

    A context manager; leaving it early closes the connection, upon which adbd sends the command a
    SIGHUP (AOSP daemon/shell_service.cpp). One thread reads, and another may write.
    """

    def __init__(self, peer: Peer, connection: Connection) -> None:
        self._peer = peer
        self._connection = connection
        connection.conn.settimeout(None)  # it may be silent for as long as it likes
        self._decoder = _Pieces()
        self._kept: list[Piece] = []  # what came with a line that was taken
        self._buffer = memoryview(bytearray(_CHUNK))
        self._poll = select.poll()
        self._poll.register(connection.conn, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; what was not read is gone."""
        self._connection.close()

    @property
    def status(self) -> int | None:
        """The exit status, None while the command runs; 128 + N for signal N."""
        return None if self._kept else self._decoder.status

    def read(self, timeout: float | None = None) -> list[Piece]:
        """Return what came, in its order, after waiting for it at most `timeout` seconds.

        Empty when nothing came in time, or the command has ended. Raises DeviceLostError when the
        connection closes without an exit status, or what comes is not adb's protocol.
        """
        if self._kept:
            kept, self._kept = self._kept, []
            return kept
        if self.status is not None:
            return []
        with mapped(self._peer, "running a command"):
            if not self._poll.poll(None if timeout is None else max(0, int(timeout * 1000 + 0.5))):
                return []
            got = self._connection.conn.recv_into(self._buffer)
            if not got:
                raise EOFError("the connection closed without an exit status")
        with understood(self._peer):
            return self._decoder.pieces_in(self._buffer[:got])

    def take_stderr_line(self, timeout: float) -> bytes:
        """Take the first line off stderr, waiting for it; what comes with it is read later.

        What there is of it when the command ends. Raises DeviceTimeoutError after `timeout`
        seconds, and what `read` raises.
        """
        deadline = time.monotonic() + timeout
        said, kept = b"", list[Piece]()
        while b"\n" not in said and self.status is None:
            got = self.read(max(0.0, deadline - time.monotonic()))
            said += b"".join(piece.data for piece in got if piece.error)
            kept += [piece for piece in got if not piece.error]
            if len(said) + sum(len(piece.data) for piece in kept) > _FIRST:
                raise DeviceLostError(f"{self._peer.name} goes on and on before it says how it is")
            if not got and self.status is None and time.monotonic() >= deadline:
                with mapped(self._peer, "starting a command"):
                    raise TimeoutError
        line, _, rest = said.partition(b"\n")
        self._kept = [*kept, *([Piece(True, rest)] if rest else [])]
        return line

    def write(self, data: bytes) -> None:
        """Give the command `data` on its stdin; waits while it does not take it."""
        with mapped(self._peer, "writing to a command"):
            for at in range(0, len(data), _PACKET):
                self._connection.conn.sendall(stdin_packet(data[at : at + _PACKET]))

    def close_stdin(self) -> None:
        """Let the command see the end of its stdin."""
        with mapped(self._peer, "writing to a command"):
            self._connection.conn.sendall(CLOSE_STDIN)


class _Pieces(ShellDecoder):
    """Keeps stdout and stderr in the order in which they came."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[Piece] = []

    def pieces_in(self, data: memoryview) -> list[Piece]:
        """Return what is in `data`; raises as `feed`."""
        self._pieces = []
        self.feed(data)
        return self._pieces

    def _payload(self, piece: memoryview, stdout: list[memoryview]) -> None:
        if self.is_output:
            self._pieces.append(Piece(self.is_error, bytes(piece)))
        super()._payload(piece, [])
