"""One device: commands, files and root on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from droidheaders.adb._errors import adb_command, mapped, state_error
from droidheaders.adb.devices import Attached
from droidheaders.adb.root import Root
from droidheaders.adb.session import Session
from droidheaders.adb.shell import CLOSE_STDIN, ShellResult, ShellStream, not_shell_v2
from droidheaders.adb.sync import receive, send
from droidheaders.change import is_boot_id
from droidheaders.errors import (
    DeviceLostError,
    DeviceTimeoutError,
    DroidheadersError,
    UnsupportedError,
    UsageError,
)
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb._connection import Connection
    from droidheaders.adb.server import Server

_POLL = 0.1
# A service name is announced in four hex digits.
_LONGEST_SERVICE = 0xFFFF


class Device:
    """A device behind an adb server; each operation is one socket, so threads may share it.

    `attached` is what the server last said of it; the transport id in it changes when a USB
    device's adbd restarts.
    """

    def __init__(self, server: Server, attached: Attached) -> None:
        self.server = server
        self.attached = attached

    @property
    def serial(self) -> str:
        """The serial, which outlives restarts of adbd."""
        return self.attached.serial

    @property
    def transport_id(self) -> int:
        """The server's number for this very connection to the device."""
        return self.attached.transport_id

    @property
    def name(self) -> str:
        """How a message calls it."""
        return f"device {printable(self.serial)}"

    @property
    def adb(self) -> str:
        """How an adb command for it begins, for a person to type into a shell."""
        return adb_command(self.serial)

    def __repr__(self) -> str:
        return f"Device({self.serial!r}, transport_id={self.transport_id})"

    def shell(self, script: str, *, timeout: float | None = None) -> ShellResult:
        """Run `script` in the device's sh with an empty stdin and return what it left.

        `timeout` is for the whole of it, in seconds, else the server's. Raises DeviceTimeoutError,
        DeviceLostError (also when there is more than 16 MiB of output), UnsupportedError (a device
        without shell v2); a failing script is no error.
        """
        timeout = self.server.timeout if timeout is None else timeout
        with self.open_stream(
            script, idle_timeout=timeout, deadline=time.monotonic() + timeout
        ) as stream:
            return stream.result()

    def boot_id(self) -> str:
        """Return which boot of the device this is: its random(4) boot_id.

        Every domain may read it (AOSP system/sepolicy domain.te, proc_random).
        Raises UnsupportedError when the device does not tell, and what `shell` raises.
        """
        answer = self.shell("cat /proc/sys/kernel/random/boot_id").stdout.decode("ascii", "replace")
        if not is_boot_id(answer.strip()):
            raise UnsupportedError(
                f"{self.name} does not tell its boot id, without which nothing that is changed"
                " there could be undone for certain",
                f"{self.adb} shell ls -lZ /proc/sys/kernel/random/boot_id",
            )
        return answer.strip()

    def stream(
        self, script: str, *, idle_timeout: float | None = None, fed: bool = False
    ) -> ShellStream:
        """Run `script` as `shell` does, and return its stdout as a stream.

        `fed` says that the stream's `write` will give it a stdin.
        Reading raises DeviceTimeoutError when nothing comes for `idle_timeout` seconds, else the
        server's timeout.
        """
        return self.open_stream(script, idle_timeout=idle_timeout, fed=fed)

    def open_stream(
        self,
        script: str,
        *,
        idle_timeout: float | None = None,
        deadline: float | None = None,
        fed: bool = False,
    ) -> ShellStream:
        """Start `script` and return its stream, with `deadline` (`time.monotonic()`) if given."""
        self._check(script)
        idle_timeout = self.server.timeout if idle_timeout is None else idle_timeout
        with mapped(self, "starting a command"):
            connection = self._open_shell(script, idle_timeout)
            try:
                if not fed:  # an open stdin would hang whatever reads it
                    connection.conn.sendall(CLOSE_STDIN)
            except BaseException:
                connection.close()
                raise
        return ShellStream(
            self,
            connection,
            idle_timeout=idle_timeout,
            deadline=deadline,
        )

    def session(self, script: str) -> Session:
        """Start `script` with an open stdin, and return what talks to it while it runs."""
        self._check(script)
        with mapped(self, "starting a command"):
            return Session(self, self._open_shell(script, self.server.timeout))

    def read_file(
        self, path: str, *, size: int | None = None, idle_timeout: float = 30.0
    ) -> Iterator[bytes]:
        """Yield the contents of `path` in chunks of up to 64 KiB, by adb's sync protocol.

        Raises DroidheadersError naming `path` when the device will not read it, DeviceLostError
        when other than `size` bytes came.
        """
        return receive(self, path, size, idle_timeout)

    def push(
        self,
        source: bytes | BinaryIO | Path,
        remote: str,
        *,
        mode: int = 0o644,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Write `source` to the file `remote`, with permission bits `mode`.

        `progress` is called with the number of bytes of each step. Raises DroidheadersError with
        the device's own reason when it refuses.
        """
        send(self, [(source, remote, mode)], progress)

    def push_all(self, files: Sequence[tuple[bytes | BinaryIO | Path, str, int]]) -> None:
        """Write each source to its file, with its mode, as `push` does, over one connection."""
        send(self, files, None)

    def wait_for(self, state: str = "device", timeout: float = 60.0) -> None:
        """Wait until the device is listed in `state`, or gone for "disconnect"; update `attached`.

        Raises DeviceTimeoutError after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            listed = self._listed(self.server.devices())
            if state == "disconnect" and (listed is None or listed.state == "offline"):
                return
            if listed is not None and listed.state == state:
                self.attached = listed
                return
            if time.monotonic() >= deadline:
                now = printable(listed.state) if listed else "not attached"
                raise DeviceTimeoutError(
                    f"{self.name} is {now} and did not reach state {state} in {timeout:g} seconds",
                    "look at `droidheaders devices`",
                )
            time.sleep(_POLL)

    @contextmanager
    def privileged(self) -> Iterator[Root]:
        """Give a `Root` of this device, and take back on leaving what it took to become root.

        Nothing happens on the device before the first use, which raises NoRootError when nothing
        gives root.
        """
        root = Root(self)
        try:
            yield root
        finally:
            root.put_back()

    def open_service(self, service: str, timeout: float) -> Connection:
        """Return a connection to a service of the device; use it within `mapped`."""
        connection = self.open_transport(timeout)
        try:
            connection.request(service)
        except BaseException:
            connection.close()
            raise
        return connection

    def open_transport(self, timeout: float) -> Connection:
        """Return a connection that the server passes on to the device; use it within `mapped`."""
        connection = self.server.open(timeout)
        try:
            # By transport id it is certainly this device, and the answer is a mere OKAY.
            transport = f"-id:{self.transport_id}" if self.transport_id else f":{self.serial}"
            connection.request(f"host:transport{transport}")
        except BaseException:
            connection.close()
            raise
        return connection

    def lost(self, doing: str, error: Exception) -> DroidheadersError:
        """Find out whether the server, the device or only this connection went away."""
        return DeviceLostError(
            f"{self.name} was lost while {doing}: {self._whereabouts()}",
            "see `droidheaders devices`, then run the same command again",
        )

    def refused(self, doing: str, text: str) -> DroidheadersError:
        """Say what the server's FAIL text means (AOSP transport.cpp, acquire_one_transport())."""
        for start, state in (
            ("device offline", "offline"),
            ("device unauthorized", "unauthorized"),
            ("device still authorizing", "authorizing"),
            ("device still connecting", "connecting"),
            ("insufficient permissions", "no permissions"),
        ):
            if text.startswith(start):
                return state_error(self.serial, state)
        if text == "closed" or "not found" in text or text.startswith("no device"):
            return self.lost(doing, EOFError(text))
        return DroidheadersError(
            f"{self.name} refused {doing}: {printable(text.strip())}",
            "see `droidheaders devices`",
        )

    def _check(self, script: str) -> None:
        if "\0" in script:
            raise UsageError(
                f"a command for {self.name} holds a NUL byte, where the device would cut it off",
                "take the NUL byte out",
            )
        if len(script.encode("utf-8", "surrogateescape")) > _LONGEST_SERVICE - 64:
            raise UsageError(
                f"a command for {self.name} is longer than the 64 KiB adb takes",
                "push it as a script and run that: `droidheaders push FILE`",
            )

    def _open_shell(self, script: str, timeout: float) -> Connection:
        from droidheaders.adb._adbutils import AdbError, AdbTimeout

        try:
            return self.open_service(f"shell,v2,raw:{script}", timeout)
        except AdbTimeout:
            raise
        except AdbError:
            # A device without shell v2 closes the unknown service; falling back to v1 would lose
            # exit statuses without a word.
            if not self._has_shell_v2():
                raise not_shell_v2(self) from None
            raise

    def _has_shell_v2(self) -> bool:
        which = (
            f"-transport-id:{self.transport_id}" if self.transport_id else f"-serial:{self.serial}"
        )
        with self.server.open() as connection:
            return "shell_v2" in connection.query(f"host{which}:features").split(",")

    def _listed(self, attached: list[Attached]) -> Attached | None:
        same = [line for line in attached if line.serial == self.serial]
        if len(same) == 1:
            return same[0]
        # Two devices may have the same serial; the port they are plugged into tells them apart.
        return next((line for line in same if line.usb == self.attached.usb), None)

    def _whereabouts(self) -> str:
        from droidheaders.adb.devices import parse_devices

        try:
            with self.server.open(2.0) as connection:
                listed = self._listed(parse_devices(connection.query("host:devices-l")))
        except Exception:  # whatever it is, the server does not answer
            return f"the {self.server.name} went away"
        if listed is None:
            return "it was unplugged or switched off"
        if listed.state != "device":
            return f"it is now in state {printable(listed.state)}"
        if listed.transport_id != self.transport_id:
            return "it went away and is back under another transport id"
        return "it closed the connection"
