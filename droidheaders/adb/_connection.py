"""One socket to the adb server: adbutils' connection without its surprises."""

from __future__ import annotations

import socket
from contextlib import suppress

from droidheaders.adb._adbutils import AdbConnection
from droidheaders.adb.endpoint import Endpoint

# Strings carry four hex digits of length, and a sync DATA packet holds 64 KiB at most
# (AOSP file_sync_protocol.h, SYNC_DATA_MAX); a larger announcement is no adb.
_LARGEST_BLOCK = 1 << 20


class Connection(AdbConnection):  # type: ignore[misc]  # adbutils is untyped
    """A connection that never starts a server, reads exactly, and closes at once.

    Raises OSError where connecting fails, EOFError where the peer closes early.
    """

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        super().__init__(endpoint.host, endpoint.port)

    def _safe_connect(self) -> socket.socket:
        # adbutils runs a plain `adb start-server` here, which may start one on another port.
        address = (self._endpoint.host, self._endpoint.port)
        connection = socket.create_connection(address, self._timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def close(self) -> None:
        """Close the socket, also under a thread that waits for it; adbutils would sleep 10 ms."""
        with suppress(OSError):  # not connected any more
            self.conn.shutdown(socket.SHUT_RDWR)
        self.conn.close()

    def read(self, n: int) -> bytes:
        """Return exactly `n` bytes; adbutils' own returns fewer when the peer closes."""
        if n > _LARGEST_BLOCK:
            raise ValueError(f"a block of {n} bytes was announced")
        data = bytearray(n)
        view = memoryview(data)
        while view:
            got = self.conn.recv_into(view)
            if not got:
                raise EOFError(f"the connection closed {len(view)} bytes early")
            view = view[got:]
        return bytes(data)

    def send_command(self, cmd: str) -> None:
        """Send a service name; adbutils' own ignores a partial send and a name too long."""
        name = cmd.encode("utf-8", "surrogateescape")
        self.conn.sendall(b"%04x" % len(name) + name)

    def request(self, service: str) -> None:
        """Send a service name and take the server's OKAY; raises AdbError with its FAIL text."""
        self.send_command(service)
        self.check_okay()

    def query(self, service: str) -> str:
        """Return the text a service answers with, in one block."""
        self.request(service)
        return str(self.read_string_block())

    def read_to_end(self) -> str:
        """Return what comes until the peer closes, as text."""
        chunks = []
        while chunk := self.conn.recv(4096):
            chunks.append(chunk)
        return b"".join(chunks).decode("utf-8", "replace")
