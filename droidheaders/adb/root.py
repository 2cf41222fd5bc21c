"""Root on a device: had where it is to be had, and put back."""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from droidheaders import journal
from droidheaders.adb._errors import NoRootError
from droidheaders.adb.service import ask
from droidheaders.adb.session import Session
from droidheaders.adb.shell import ShellResult, ShellStream
from droidheaders.change import ADB_ROOT, Change
from droidheaders.errors import (
    DeviceLostError,
    DeviceTimeoutError,
    DroidheadersError,
    NoDeviceError,
)
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb.device import Device
    from droidheaders.journal import Entry

T = TypeVar("T", Session, ShellStream)

_RESTART_TIMEOUT = 30.0
_POLL = 0.1

# Tries su and runs the script with it, in one round trip. AOSP's su takes a uid and a command, and
# says "invalid uid/gid '-c'" otherwise (system/extras/su/su.cpp); Magisk's and KernelSU's take -c,
# and hand what follows a user to a shell as a script file. So each is asked for the uid it gives.
# The token on the first line of stderr tells which one it was, unlike a status, which is the
# script's.
_WRAPPER = """\
S={script}
if [ "$(id -u)" = 0 ]; then echo '{token} adbd' >&2; exec sh -c "$S"; fi
if [ "$(su 0 id -u 2>/dev/null </dev/null)" = 0 ]
then echo '{token} su 0' >&2; exec su 0 sh -c "$S"; fi
if [ "$(su -c 'id -u' 2>/dev/null </dev/null)" = 0 ]
then echo '{token} su -c' >&2; exec su -c "$S"; fi
echo "{token} none $(getprop ro.debuggable 2>/dev/null)" >&2
exit 1
"""


def su_wrapper(script: str, token: str) -> str:
    """Return a script that runs `script` as root and first says how on stderr.

    That line is `token` and one of "adbd", "su 0", "su -c", or "none" and `ro.debuggable`.
    """
    return _WRAPPER.format(script=shlex.quote(script), token=token)


class Root:
    """Runs commands as uid 0; from `Device.privileged`.

    su comes first, because `adb root` restarts adbd and ends every other session on the device.
    Where only `adb root` helps, several may have it together, and the last one puts it back.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._how: str | None = None
        self._restart: Entry | None = None  # what the journal has of an adbd that runs as root
        self._lock = threading.Lock()

    @property
    def how(self) -> str:
        """How root was had: "adbd", "su 0", "su -c" or "adb root"; finds out if unused so far."""
        if self._how is None:
            self.shell(":")
        return str(self._how)

    def shell(self, script: str, *, timeout: float | None = None) -> ShellResult:
        """Run `script` as root; as `Device.shell`, and NoRootError when nothing gives root."""
        timeout = self.device.server.timeout if timeout is None else timeout
        with self._open(script, timeout, time.monotonic() + timeout) as stream:
            return stream.result()

    def stream(
        self, script: str, *, idle_timeout: float | None = None, fed: bool = False
    ) -> ShellStream:
        """Run `script` as root; as `Device.stream`, and NoRootError when nothing gives root."""
        if not fed:
            return self._open(script, idle_timeout, None)
        _ = self.how  # first, for what only tries to become root would take of its stdin
        return self.device.stream(self._command(script), idle_timeout=idle_timeout, fed=True)

    def session(self, script: str, *, first: str = ":") -> Session:
        """Run `script` as root; as `Device.session`, and NoRootError when nothing gives root.

        `first` is run before that as the shell's user, and again where adbd had to be restarted;
        it must say nothing on stderr, and read nothing.
        """

        def start(command: str) -> Session:
            return self.device.session(f"{first}\n{command}")

        # What tries to become root reads no stdin: nothing is written there before the script runs.
        return self._begun(
            start, lambda one: one.take_stderr_line(self.device.server.timeout), script
        )

    def put_back(self) -> None:
        """Undo `adb root`, if this object did it; a device that will not have it gets a warning.

        While another of us needs it, it stays; the last one undoes it.
        """
        if self._restart is None:
            return
        try:
            with self._restart.leaving() as undo:
                if undo:
                    # Interrupted: adbd would restart as root after `unroot:`.
                    unroot(self.device, restarting=self._how is None)
        except DroidheadersError as error:
            ui.warn(f"{self.device.name} may still run adbd as root: {error.message}")
            ui.warn(f"put it back with `{self.device.adb} unroot`; the next pull tries that too")
        self._restart = None

    def _open(self, script: str, idle_timeout: float | None, deadline: float | None) -> ShellStream:
        def start(command: str) -> ShellStream:
            return self.device.open_stream(command, idle_timeout=idle_timeout, deadline=deadline)

        return self._begun(start, ShellStream.take_stderr_line, script)

    def _begun(self, start: Callable[[str], T], first_line: Callable[[T], bytes], script: str) -> T:
        """Return what `start` makes of the script as root, in one round trip where su gives it."""
        if self._how is None:
            with self._lock:
                if self._how is None:
                    # First: while we have a part in it, no other of us takes root away.
                    self._restart = self._restart or journal.join(self.device.serial, ADB_ROOT)
                    token = os.urandom(8).hex()
                    running = start(su_wrapper(script, token))
                    try:
                        words = first_line(running).decode("utf-8", "replace").split(" ", 2)
                        found = self._found(words, token)
                    except BaseException:
                        running.close()
                        raise
                    if found:
                        return running
                    running.close()
                    self._restart_adbd()
        return start(self._command(script))

    def _found(self, words: list[str], token: str) -> bool:
        """Read how the wrapper fared; False when it ran nothing, and adbd is to be restarted."""
        if words[0] == token and words[1] != "none":
            self._how = " ".join(words[1:])
            return True
        debuggable = words[-1].strip() == "1" if words[0] == token else False
        if not debuggable:
            raise self._no_root(
                "su gives none, and the build is not debuggable, so neither would `adb root`"
            )
        return False

    def _command(self, script: str) -> str:
        if self._how == "su 0":
            return f"exec su 0 sh -c {shlex.quote(script)}"
        if self._how == "su -c":
            return f"exec su -c {shlex.quote(script)}"
        return script

    def _restart_adbd(self) -> None:
        device = self.device
        change = Change(device.serial, ADB_ROOT, "", device.boot_id())
        with journal.turn(device.serial, ADB_ROOT):
            self._restart = journal.write(change)
            answer = ask(device, "root:", "asking for root")
            # AOSP daemon/restart_service.cpp; like adb itself, take silence for a restart.
            if answer and "restarting" not in answer:
                if not self._restart.joined:
                    self._restart.remove()
                if "already running as root" not in answer:
                    raise self._no_root(
                        f"su gives none, and adbd says: {printable(answer.strip())}"
                    )
                self._how = "adbd"
                return
            _await_adbd(device, as_root=True)
        self._how = "adb root"

    def _no_root(self, why: str) -> NoRootError:
        return NoRootError(
            f"{self.device.name} gives no root: {why}",
            "use a userdebug build or a rooted phone, or `droidheaders emulator start`",
        )


def unroot(device: Device, *, restarting: bool = False) -> None:
    """Have adbd run as the shell's user again, as `adb unroot` does.

    `restarting` says that it is only just becoming root. Raises DroidheadersError when it will not.
    """
    if restarting:
        _await_adbd(device, as_root=True)
    answer = ask(device, "unroot:", "asking for unroot")
    if not answer or "restarting" in answer:
        _await_adbd(device, as_root=False)


def _await_adbd(device: Device, *, as_root: bool) -> None:
    """Wait until the shell's uid tells that the new adbd is there.

    Nothing else does for all devices: over USB the transport id changes, over TCP the server
    reconnects under the same one (AOSP transport.cpp, ReconnectHandler).
    """
    deadline = time.monotonic() + _RESTART_TIMEOUT
    while (left := deadline - time.monotonic()) > 0:
        try:
            device.wait_for("device", timeout=left)
            result = device.shell("id -u", timeout=min(left, 5.0))
        except (DeviceLostError, NoDeviceError):
            pass  # the old adbd is going, or the new one is not there yet
        else:
            if result.status == 0 and (result.stdout.strip() == b"0") == as_root:
                return
        time.sleep(_POLL)
    raise DeviceTimeoutError(
        f"{device.name} did not come back from restarting adbd within {_RESTART_TIMEOUT:g} seconds",
        "replug it, then look at `droidheaders devices`",
    )
