"""A device for the real adb server: just enough of adbd's TCP transport to run shell v2.

AOSP packages/modules/adb, protocol.txt: messages of six 32-bit words and a payload. Commands run in
the host's sh, once the client has closed their stdin.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_VERSION, _MAX_PAYLOAD = 0x01000001, 1 << 20
_CLOSE_STDIN = struct.pack("<BI", 4, 0)


class FakeAdbd:
    """Listens on a free port of 127.0.0.1; a context manager. `services` lists what was opened."""

    def __init__(self, features: str = "shell_v2,cmd") -> None:
        self.services: list[str] = []
        self.stdin = b""
        self._features = features
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._links: list[_Link] = []
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.drop()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def drop(self) -> None:
        """Cut every connection, as adbd does by restarting."""
        for link in self._links:
            with suppress(OSError):
                link.socket.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                link = _Link(connection)
                self._links.append(link)
                thread = threading.Thread(target=self._serve, args=(link,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, link: _Link) -> None:
        with link.socket, suppress(EOFError, OSError):
            while True:
                command, remote, local, data = link.recv()
                if command == b"CNXN":
                    banner = f"device::ro.product.model=Fake;features={self._features}"
                    link.send(b"CNXN", _VERSION, _MAX_PAYLOAD, banner.encode())
                elif command == b"OPEN":
                    self._open(link, remote, data.rstrip(b"\0").decode())
                elif command == b"WRTE":
                    link.send(b"OKAY", local, remote)
                    self._stdin(link, local, remote, data)

    def _open(self, link: _Link, remote: int, service: str) -> None:
        self.services.append(service)
        if service.startswith("shell,v2,raw:") and "shell_v2" in self._features:
            link.scripts[len(self.services)] = service.removeprefix("shell,v2,raw:")
            link.send(b"OKAY", len(self.services), remote)
        else:
            link.send(b"CLSE", 0, remote)

    def _stdin(self, link: _Link, local: int, remote: int, data: bytes) -> None:
        self.stdin += data
        if data != _CLOSE_STDIN:
            return
        done = subprocess.run(
            ["sh", "-c", link.scripts.pop(local)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        answer = b""
        for kind, output in ((1, done.stdout), (2, done.stderr), (3, bytes([done.returncode]))):
            if output:
                answer += struct.pack("<BI", kind, len(output)) + output
        link.send(b"WRTE", local, remote, answer)  # one write: there is no waiting for its OKAY
        link.send(b"CLSE", local, remote)


class _Link:
    """One connection from the server."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.scripts: dict[int, str] = {}

    def recv(self) -> tuple[bytes, int, int, bytes]:
        command, first, second, length, _, _ = struct.unpack("<6I", self._exactly(24))
        return command.to_bytes(4, "little"), first, second, self._exactly(length)

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        word = int.from_bytes(command, "little")
        header = (word, first, second, len(data), sum(data) & 0xFFFFFFFF, word ^ 0xFFFFFFFF)
        self.socket.sendall(struct.pack("<6I", *header) + data)

    def _exactly(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data
