"""The shell v2 protocol: stdout, stderr and the exit status of a command, apart."""

from __future__ import annotations

import select
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from droidheaders.adb._errors import Peer, mapped
from droidheaders.errors import DeviceLostError, UnsupportedError
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb._connection import Connection

# AOSP shell_protocol.h, ShellProtocol::Id; a packet is one byte id, four bytes little-endian
# length, payload.
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_HEADER = struct.Struct("<BI")
CLOSE_STDIN = _HEADER.pack(_CLOSE_STDIN, 0)

_CHUNK = 256 * 1024
_STDIN_CHUNK = 16 * 1024  # what adbd takes at once, and progress is told in
_STDERR_LIMIT = 64 * 1024
_RESULT_LIMIT = 16 << 20
# adbd's buffer for a packet is 1 MiB (MAX_PAYLOAD), and was less.
_PACKET_LIMIT = 16 << 20
# What may come besides stdout before somebody is taken to be flooding us.
_FLOOD = 64 << 20


class NotShellV2Error(ValueError):
    """What came is not shell v2, from its first byte on."""


class BrokenPacketError(ValueError):
    """What came was shell v2, and then something that no adbd sends."""


@dataclass(frozen=True)
class ShellResult:
    """What a command on the device left: its bytes and its status (128 + N for signal N)."""

    stdout: bytes
    stderr: bytes
    status: int


class ShellDecoder:
    """Takes the byte stream apart, at whatever boundaries it comes.

    `status` is None until the exit packet came; `stderr` keeps its last 64 KiB.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.stderr = bytearray()
        self._begun = False
        self._header = bytearray()
        self._id = 0
        self._left = 0

    def feed(self, data: bytes | memoryview) -> bytes:
        """Return the stdout bytes in `data`, also those of an incomplete packet.

        Raises NotShellV2Error when the first packet is none, BrokenPacketError for a later one.
        """
        view = memoryview(data)
        stdout: list[memoryview] = []
        while view and self.status is None:
            if self._left:
                piece, view = view[: self._left], view[self._left :]
                self._left -= len(piece)
                self._payload(piece, stdout)
                continue
            missing = _HEADER.size - len(self._header)
            self._header += view[:missing]
            view = view[missing:]
            if len(self._header) == _HEADER.size:
                self._packet()
        return b"".join(stdout)

    @property
    def is_output(self) -> bool:
        """Whether the packet at hand is of stdout or stderr."""
        return self._id in (_STDOUT, _STDERR)

    @property
    def is_error(self) -> bool:
        """Whether the packet at hand is of stderr."""
        return self._id == _STDERR

    def _packet(self) -> None:
        """Take the header that is complete, and check that adbd may have sent it."""
        self._id, self._left = _HEADER.unpack(self._header)
        self._header.clear()
        if self._id not in (_STDOUT, _STDERR, _EXIT) or self._left > _PACKET_LIMIT:
            what = f"a packet of kind {self._id} and {self._left} bytes"
            raise BrokenPacketError(what) if self._begun else NotShellV2Error(what)
        self._begun = True

    def _payload(self, piece: memoryview, stdout: list[memoryview]) -> None:
        if self._id == _STDOUT:
            stdout.append(piece)
        elif self._id == _STDERR:
            self.stderr += piece
            del self.stderr[:-_STDERR_LIMIT]
        else:
            self.status = piece[0]


class ShellStream:
    """A running command: its stdout as it comes, then `status` and `stderr`.

    A context manager; leaving it early is allowed, closes the connection at once, and the device
    ends the command when it next writes. Reading raises DeviceTimeoutError when nothing comes for
    `idle_timeout` seconds (or `deadline`, a `time.monotonic()`, passes), and DeviceLostError when
    the connection closes without an exit status, when what comes is not adb's protocol any more, or
    is 64 MiB without any stdout. One thread reads a stream.
    """

    def __init__(
        self,
        peer: Peer,
        connection: Connection,
        *,
        idle_timeout: float,
        deadline: float | None = None,
    ) -> None:
        self._peer = peer
        self._connection = connection
        self._idle_timeout = idle_timeout
        self._deadline = deadline
        self._decoder = ShellDecoder()
        self._buffer = memoryview(bytearray(_CHUNK))
        self._ready: deque[memoryview] = deque()
        self._ended = False
        self._silence = 0  # bytes since the last of stdout

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

    def __iter__(self) -> Iterator[bytes]:
        """Yield stdout in chunks of up to 256 KiB."""
        while chunk := self.read(_CHUNK):
            yield chunk

    def read(self, n: int = -1) -> bytes:
        """Return up to `n` bytes of stdout, at least one unless it ended; all of it without `n`."""
        if n < 0:
            while self._fill():
                pass
            everything = b"".join(self._ready)
            self._ready.clear()
            return everything
        while not self._ready and self._fill():
            pass
        if not self._ready:
            return b""
        first = self._ready.popleft()
        if len(first) > n:
            self._ready.appendleft(first[n:])
        return bytes(first[:n])

    def result(self) -> ShellResult:
        """Read to the end and return everything; DeviceLostError for more than 16 MiB of stdout."""
        stdout = bytearray()
        while piece := self.read(_CHUNK):
            stdout += piece
            if len(stdout) > _RESULT_LIMIT:
                raise self._endless()
        return ShellResult(bytes(stdout), self.stderr, self.status)

    def write(self, source: BinaryIO, progress: Callable[[int], object] | None = None) -> None:
        """Send what `source` holds as stdin, then close it; stop when the command has spoken.

        Only for commands that say nothing before they have read everything, or fail.
        """
        with mapped(self._peer, "sending to a command"):
            connection = self._connection.conn
            connection.settimeout(self._idle_timeout)
            try:
                while chunk := source.read(_STDIN_CHUNK):
                    if select.select([connection], [], [], 0)[0]:
                        return
                    connection.sendall(stdin_packet(chunk))
                    if progress:
                        progress(len(chunk))
                connection.sendall(CLOSE_STDIN)
            except (BrokenPipeError, ConnectionResetError):
                return  # why it ended can still be read

    def take_stderr_line(self) -> bytes:
        """Take the first line off stderr, waiting for it; stdout that comes meanwhile is kept."""
        while b"\n" not in self._decoder.stderr and self._fill():
            if sum(map(len, self._ready)) > _RESULT_LIMIT:
                raise self._endless()
        line, _, rest = self._decoder.stderr.partition(b"\n")
        self._decoder.stderr[:] = rest
        return bytes(line)

    @property
    def status(self) -> int:
        """The exit status, once stdout was read to its end; ValueError before."""
        if self._decoder.status is None:
            raise ValueError("the command has not ended yet")
        return self._decoder.status

    @property
    def stderr(self) -> bytes:
        """The last 64 KiB of stderr so far."""
        return bytes(self._decoder.stderr)

    def _fill(self) -> bool:
        """Receive once and keep what came of stdout; return False when the command has ended."""
        if self._ended:
            return False
        with mapped(self._peer, "running a command"):
            connection = self._connection.conn
            connection.settimeout(self._patience())
            got = connection.recv_into(self._buffer)
            if not got:
                raise EOFError("the connection closed without an exit status")
        with understood(self._peer):
            stdout = self._decoder.feed(self._buffer[:got])
        self._silence += got
        if stdout:
            self._ready.append(memoryview(stdout))
            self._silence = 0
        if self._silence > _FLOOD:
            raise self._endless()
        self._ended = self._decoder.status is not None
        if self._ended:
            self.close()
        return True

    def _endless(self) -> DeviceLostError:
        return DeviceLostError(
            f"{self._peer.name} sends without end where a short answer was expected",
            "look at what runs there: adb shell ps",
        )

    def _patience(self) -> float:
        if self._deadline is None:
            return self._idle_timeout
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, self._idle_timeout)


def not_shell_v2(peer: Peer) -> UnsupportedError:
    """Return the error for a device without shell v2, whose exit statuses would be guesses."""
    return UnsupportedError(
        f"{peer.name} does not speak adb's shell v2 protocol, so no exit status can be had",
        "use a device with Android 7 or later",
    )


@contextmanager
def understood(peer: Peer) -> Iterator[None]:
    """Turn what a decoder raises into UnsupportedError or DeviceLostError about `peer`."""
    try:
        yield
    except NotShellV2Error as error:
        raise not_shell_v2(peer) from error
    except BrokenPacketError as error:
        raise DeviceLostError(
            f"{peer.name} broke adb's shell protocol in the middle: it sent {error}",
            "run the same command again, over another cable or port if it is USB",
        ) from error


def stdin_packet(data: bytes) -> bytes:
    """Return `data` as the device takes it for a command's stdin."""
    return _HEADER.pack(_STDIN, len(data)) + data


def last_line(stderr: bytes) -> str:
    """Return the last line of what a command said, fit for a terminal."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return printable(lines[-1]) if lines else "no reason given"
