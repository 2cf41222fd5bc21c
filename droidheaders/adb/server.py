"""The adb server: what it lists, and the way to a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from droidheaders.adb._errors import mapped, warn_once
from droidheaders.adb.devices import Attached, parse_devices
from droidheaders.adb.endpoint import Endpoint
from droidheaders.adb.selector import Selector, choose
from droidheaders.errors import DeviceLostError, DroidheadersError, NoDeviceError
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb._connection import Connection
    from droidheaders.adb.device import Device

NO_ADB = "Unknown data: "  # how adbutils begins to say that neither OKAY nor FAIL came

# The server tries a TCP device for up to ten seconds before it answers (AOSP socket_spec.cpp).
_CONNECT_TIMEOUT = 30.0


class Server:
    """An adb server; each query is one connection, so threads may share the object.

    `timeout` is in seconds, for connecting and for each answer. Nothing is opened before the first
    query; a server that is not there yet is started then, if it is to be on this machine.
    """

    def __init__(self, endpoint: Endpoint, timeout: float = 30.0) -> None:
        self.endpoint = endpoint
        self.timeout = timeout

    @property
    def name(self) -> str:
        """How a message calls it."""
        return f"adb server at {self.endpoint}"

    def version(self) -> int:
        """Return the server's protocol version (41 for adb 1.0.41)."""
        with mapped(self, "asking its version"), self._ready() as connection:
            return int(connection.query("host:version"), 16)

    def listens(self) -> bool:
        """Tell whether something listens there; unlike all else here, this starts no server."""
        return self._first_words(b"") is not None

    def is_without_devices(self) -> bool:
        """Tell whether no server is there, or one that lists nothing; starts none, either.

        In plain words of adb's protocol (AOSP SERVICES.TXT): adbutils takes 60 ms to import, and
        where there is nothing to talk to it has no other use.
        """
        return self._first_words(b"000chost:devices") in (None, b"OKAY0000")

    def _first_words(self, question: bytes) -> bytes | None:
        """Return the first 8 bytes that a server answers, or None where none listens."""
        import socket

        place = (self.endpoint.host, self.endpoint.port)
        answer = b""
        try:
            with socket.create_connection(place, self.timeout) as connection:
                connection.sendall(question)
                while question and len(answer) < 8 and (more := connection.recv(8 - len(answer))):
                    answer += more
        except OSError:
            return answer or None
        return answer

    def ensure_running(self) -> None:
        """Start the server if nothing listens there; raises NoDeviceError if that is impossible."""
        with mapped(self, "connecting"):
            self._ready().close()

    def devices(self) -> list[Attached]:
        """Return everything attached, usable or not, from one query."""
        with mapped(self, "listing devices"), self._ready() as connection:
            return parse_devices(connection.query("host:devices-l"))

    def select(self, selector: Selector | None = None) -> Device:
        """Return the device `selector` means (the only one without it), from one query.

        Raises NoDeviceError when there is none, several, or one that is not usable yet.
        """
        from droidheaders.adb.device import Device

        attached = choose(self.devices(), selector or Selector())
        if attached.remote_host:
            warn_once(
                f"device {printable(attached.serial)} is reached over the network: adb there is "
                "neither encrypted nor authenticated"
            )
        return Device(self, attached)

    def connect(self, address: str) -> None:
        """Attach the TCP device at `address` (HOST or HOST:PORT), as `adb connect`.

        Raises NoDeviceError with adb's reason: the server answers OKAY to failures too, and only
        the text tells (AOSP client/transport_local.cpp, connect_device()).
        """
        with mapped(self, f"connecting {printable(address)}"), self._ready() as connection:
            connection.conn.settimeout(max(self.timeout, _CONNECT_TIMEOUT))
            answer = connection.query(f"host:connect:{address}")
        if not answer.startswith(("connected to ", "already connected to ")):
            raise NoDeviceError(
                f"{printable(address)} cannot be attached: {printable(answer.strip())}",
                "check that adbd listens there, then try again",
            )

    def disconnect(self, address: str) -> None:
        """Detach the TCP device at `address`; raises NoDeviceError when it is not attached."""
        doing = f"disconnecting {printable(address)}"
        with mapped(self, doing), self._ready() as connection:
            answer = connection.query(f"host:disconnect:{address}")
        if not answer.startswith("disconnected "):
            raise self.refused(doing, answer)

    def open(self, timeout: float | None = None) -> Connection:
        """Return a fresh connection with `timeout` seconds a read; raises OSError."""
        from droidheaders.adb._connection import Connection

        if not self.endpoint.is_loopback:
            warn_once(f"the {self.name} is another machine: the way there is not encrypted")
        try:
            connection = Connection(self.endpoint, self.timeout)
        except TimeoutError as error:
            # Not a slow answer, which is what `mapped` makes of a TimeoutError.
            raise OSError("connecting timed out") from error
        connection.conn.settimeout(self.timeout if timeout is None else timeout)
        return connection

    def lost(self, doing: str, error: Exception) -> DroidheadersError:
        """Tell a server that cannot be reached from one that went away in the middle."""
        if isinstance(error, OSError) and not isinstance(
            error, (ConnectionResetError, BrokenPipeError)
        ):
            return NoDeviceError(
                f"the {self.name} is unreachable: {error.strerror or error}",
                "check -H, -P, -L and the environment "
                f"(this address came from {self.endpoint.source})",
            )
        return DeviceLostError(
            f"the {self.name} went away while {doing}",
            "run the same command again: it starts a local server by itself",
        )

    def refused(self, doing: str, text: str) -> DroidheadersError:
        """Pass on what the server said, if it was one."""
        if text.startswith(NO_ADB):
            return NoDeviceError(
                f"what listens at {self.endpoint} is no adb server: it answered "
                f"{printable(text.removeprefix(NO_ADB))}",
                f"see what it is with `ss -ltnp sport = :{self.endpoint.port}`, "
                "or name the server with -H and -P",
            )
        return NoDeviceError(
            f"the {self.name} refused {doing}: {printable(text.strip())}",
            "see `droidheaders devices`",
        )

    def _ready(self) -> Connection:
        try:
            return self.open()
        except ConnectionRefusedError:
            from droidheaders.adb.launcher import can_start, start_server

            if not can_start(self.endpoint):
                raise
        start_server(self.endpoint)
        return self.open()
