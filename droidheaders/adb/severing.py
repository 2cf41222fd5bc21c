"""A server whose connections can all be closed under whoever waits for them."""

from __future__ import annotations

import socket
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from droidheaders.adb.endpoint import Endpoint
from droidheaders.adb.server import Server

if TYPE_CHECKING:
    from droidheaders.adb._connection import Connection


class SeverableServer(Server):
    """The server for one run on a device, which somebody else may have to break off."""

    def __init__(self, endpoint: Endpoint, timeout: float = 30.0) -> None:
        super().__init__(endpoint, timeout)
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._lock = threading.Lock()

    def open(self, timeout: float | None = None) -> Connection:
        """Return a fresh connection, as `Server.open`."""
        connection = super().open(timeout)
        with self._lock:
            self._connections.add(connection)
        return connection

    def sever(self) -> None:
        """Close all connections that there are: who waits for one has lost the device.

        A new one can be made, by which he undoes what he did there.
        """
        with self._lock:
            connections = [*self._connections]
        for connection in connections:
            with suppress(OSError):  # closed already
                connection.conn.shutdown(socket.SHUT_RDWR)
