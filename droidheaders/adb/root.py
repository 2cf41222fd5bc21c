"""Root on a device: had where it is to be had, and put back."""

from __future__ import annotations

import os
import shlex
import threading
import time
from typing import TYPE_CHECKING

from droidheaders.adb._errors import NoRootError, mapped
from droidheaders.adb.shell import ShellResult, ShellStream
from droidheaders.errors import (
    DeviceLostError,
    DeviceTimeoutError,
    DroidheadersError,
    NoDeviceError,
)
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb.device import Device

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

    su comes first, because `adb root` restarts adbd and ends every other session on the device. A
    device that only `adb root` helps is for one such block at a time.
    """

    def __init__(self, device: Device, how: str | None = None) -> None:
        self._device = device
        self._how = how
        self._restarted = False
        self._lock = threading.Lock()

    @property
    def how(self) -> str:
        """How root was had: "adbd", "su 0", "su -c" or "adb root"; finds out if unused so far."""
        if self._how is None:
            self.shell(":")
        return str(self._how)

    def shell(self, script: str, *, timeout: float | None = None) -> ShellResult:
        """Run `script` as root; as `Device.shell`, and NoRootError when nothing gives root."""
        timeout = self._device.server.timeout if timeout is None else timeout
        with self._open(script, timeout, time.monotonic() + timeout) as stream:
            return stream.result()

    def stream(self, script: str, *, idle_timeout: float | None = None) -> ShellStream:
        """Run `script` as root; as `Device.stream`, and NoRootError when nothing gives root."""
        return self._open(script, idle_timeout, None)

    def put_back(self) -> None:
        """Undo `adb root`, if this object did it; a device that will not have it gets a warning."""
        if not self._restarted:
            return
        try:
            if self._how != "adb root":  # interrupted: adbd would restart as root after `unroot:`
                self._await_adbd(as_root=True)
            answer = self._ask_adbd("unroot:")
            if not answer or "restarting" in answer:
                self._await_adbd(as_root=False)
            self._restarted = False
        except DroidheadersError as error:
            serial = shlex.quote(printable(self._device.serial))
            ui.warn(f"{self._device.name} may still run adbd as root: {error.message}")
            ui.warn(f"put it back with `adb -s {serial} unroot`")

    def _open(self, script: str, idle_timeout: float | None, deadline: float | None) -> ShellStream:
        def start(command: str) -> ShellStream:
            return self._device.open_stream(command, idle_timeout=idle_timeout, deadline=deadline)

        if self._how is None:
            with self._lock:
                if self._how is None:
                    token = os.urandom(8).hex()
                    stream = start(su_wrapper(script, token))
                    if self._found(stream, token):
                        return stream
        return start(self._command(script))

    def _found(self, stream: ShellStream, token: str) -> bool:
        """Read how the wrapper fared; False when it ran nothing and adbd was restarted instead."""
        try:
            words = stream.take_stderr_line().decode("utf-8", "replace").split(" ", 2)
            if words[0] == token and words[1] != "none":
                self._how = " ".join(words[1:])
                return True
        except BaseException:
            stream.close()
            raise
        stream.close()
        debuggable = words[-1].strip() == "1" if words[0] == token else False
        if not debuggable:
            raise self._no_root(
                "su gives none, and the build is not debuggable, so neither would `adb root`"
            )
        self._restart_adbd()
        return False

    def _command(self, script: str) -> str:
        if self._how == "su 0":
            return f"exec su 0 sh -c {shlex.quote(script)}"
        if self._how == "su -c":
            return f"exec su -c {shlex.quote(script)}"
        return script

    def _restart_adbd(self) -> None:
        self._restarted = True  # before asking: an interrupt in between must put back too
        answer = self._ask_adbd("root:")
        # AOSP daemon/restart_service.cpp; like adb itself, take silence for a restart.
        if "already running as root" in answer:
            self._restarted = False
            self._how = "adbd"
            return
        if answer and "restarting" not in answer:
            self._restarted = False
            raise self._no_root(f"su gives none, and adbd says: {printable(answer.strip())}")
        self._await_adbd(as_root=True)
        self._how = "adb root"

    def _ask_adbd(self, service: str) -> str:
        with mapped(self._device, f"asking for {service.rstrip(':')}"):
            connection = self._device.open_service(service, self._device.server.timeout)
            with connection:
                return connection.read_to_end()

    def _await_adbd(self, *, as_root: bool) -> None:
        """Wait until the shell's uid tells that the new adbd is there.

        Nothing else does for all devices: over USB the transport id changes, over TCP the server
        reconnects under the same one (AOSP transport.cpp, ReconnectHandler).
        """
        deadline = time.monotonic() + _RESTART_TIMEOUT
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._device.wait_for("device", timeout=left)
                result = self._device.shell("id -u", timeout=min(left, 5.0))
            except (DeviceLostError, NoDeviceError):
                pass  # the old adbd is going, or the new one is not there yet
            else:
                if result.status == 0 and (result.stdout.strip() == b"0") == as_root:
                    return
            time.sleep(_POLL)
        raise DeviceTimeoutError(
            f"{self._device.name} did not come back from restarting adbd within "
            f"{_RESTART_TIMEOUT:g} seconds",
            "replug it, then look at `droidheaders devices`",
        )

    def _no_root(self, why: str) -> NoRootError:
        return NoRootError(
            f"{self._device.name} gives no root: {why}",
            "use a userdebug build or a rooted phone, or `droidheaders emulator start`",
        )
