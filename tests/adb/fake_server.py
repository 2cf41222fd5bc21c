"""An adb server made of bytes: what each service answers is scripted, down to the packet."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.service = ""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def dribble(self, data: bytes) -> None:
        """Send one byte a segment."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(data)):
            self.socket.sendall(data[i : i + 1])
            time.sleep(0.0005)

    def reset(self) -> None:
        """Break the connection off: the client finds it reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        raise EOFError

    def recv(self, n: int) -> bytes:
        """Receive exactly `n` bytes; EOFError when the client closes first."""
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def request(self) -> str:
        """Receive a service name; it stays in `service`."""
        self.service = self.recv(int(self.recv(4), 16)).decode("utf-8", "surrogateescape")
        return self.service

    def hold(self) -> bytes:
        """Keep the connection until the client closes it; return what it still sent."""
        data = b""
        while more := self.socket.recv(65536):
            data += more
        return data


Handler = Callable[[Peer], None]


def okay(text: str | None = None) -> bytes:
    """OKAY, and a string block."""
    if text is None:
        return b"OKAY"
    return b"OKAY" + block(text)


def fail(text: str) -> bytes:
    return b"FAIL" + block(text)


def block(text: str) -> bytes:
    data = text.encode()
    return b"%04x" % len(data) + data


def packet(kind: int, data: bytes) -> bytes:
    """A shell v2 packet: 1 stdout, 2 stderr, 3 exit status."""
    return struct.pack("<BI", kind, len(data)) + data


def shell_answer(stdout: bytes = b"", stderr: bytes = b"", status: int = 0) -> bytes:
    """What a shell v2 service sends for a finished command."""
    out = b"OKAY"
    if stderr:
        out += packet(2, stderr)
    if stdout:
        out += packet(1, stdout)
    return out + packet(3, bytes([status]))


def sends(*pieces: bytes) -> Handler:
    """Send the pieces, then hang up."""

    def handler(peer: Peer) -> None:
        for piece in pieces:
            peer.send(piece)

    return handler


def stalls(*pieces: bytes) -> Handler:
    """Send the pieces, then keep quiet until the client leaves."""

    def handler(peer: Peer) -> None:
        for piece in pieces:
            peer.send(piece)
        peer.hold()

    return handler


class FakeServer:
    """Listens on a free port of 127.0.0.1; a context manager.

    `devices` is the text of `host:devices-l`. `on(pattern, handler)` scripts the services whose
    whole name matches the regular expression, also those behind a transport; the latest wins. A
    service nobody scripted gets FAIL, as does a transport id that is not listed. `requests` lists
    every service asked for, `transports` the transport requests.
    """

    def __init__(self, devices: str = "") -> None:
        self.devices = devices
        self.features = "shell_v2,cmd,stat_v2"
        self.requests: list[str] = []
        self.transports: list[str] = []
        self.connections = 0
        self.errors: list[BaseException] = []
        self._handlers: list[tuple[re.Pattern[str], Handler]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self.on(r"host:version", lambda peer: peer.send(okay("0029")))
        self.on(r"host:devices-l", lambda peer: peer.send(okay(self.devices)))
        self.on(
            r"host-(transport-id|serial):[^:]+:features",
            lambda peer: peer.send(okay(self.features)),
        )
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def on(self, pattern: str, handler: Handler | bytes) -> None:
        """Script the services that match; bytes are sent, then the connection is closed."""
        scripted = sends(handler) if isinstance(handler, bytes) else handler
        self._handlers.insert(0, (re.compile(pattern, re.DOTALL), scripted))

    def on_shell(self, script: str, answer: Handler | bytes) -> None:
        """Script `script` run by shell v2."""
        self.on(re.escape(f"shell,v2,raw:{script}"), answer)

    def kill(self) -> None:
        """Go away: stop listening and drop every connection."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                with suppress(OSError):  # it left just now
                    connection.shutdown(socket.SHUT_RDWR)
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(5)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if not self._closed:
            self.kill()
        for thread in self._threads:
            thread.join(5)
        if kind is None and self.errors:
            raise self.errors[0]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closed:
                    connection.close()
                    return
                self.connections += 1
                self._open.add(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._answer(Peer(connection))
            # Closing with something unread would reset the connection, and lose what was sent.
            connection.shutdown(socket.SHUT_WR)
            Peer(connection).hold()
        except (EOFError, OSError):
            pass  # the client left, as it may
        except BaseException as error:  # a bug of the script, shown at the end of the test
            self.errors.append(error)
        finally:
            with self._lock:
                self._open.discard(connection)
                connection.close()

    def _answer(self, peer: Peer) -> None:
        service = peer.request()
        handler = self._handler(service)
        if handler is None and service.startswith("host:transport"):
            self.transports.append(service)
            wanted = service.partition("-id:")[2]
            if wanted and f"transport_id:{wanted}\n" not in self.devices:
                peer.send(fail(f"no device with transport id '{wanted}'"))
                return
            peer.send(b"OKAY")
            service = peer.request()
            handler = self._handler(service)
        self.requests.append(service)
        if handler is None:
            peer.send(fail(f"unknown service {service[:60]}"))
        else:
            handler(peer)

    def _handler(self, service: str) -> Handler | None:
        return next((h for pattern, h in self._handlers if pattern.fullmatch(service)), None)
