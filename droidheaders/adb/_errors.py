"""The one place where exceptions of adbutils and the system become ours."""

from __future__ import annotations

import functools
import shlex
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from droidheaders.errors import (
    DeviceLostError,
    DeviceTimeoutError,
    DroidheadersError,
    NoDeviceError,
    UnsupportedError,
)
from droidheaders.ui import printable, ui


class NoRootError(UnsupportedError):
    """Nothing gives root on this device."""

    exit_code = 5
    kind = "no-root"


class Peer(Protocol):
    """Whom an operation talks to: a device, or the server itself."""

    @property
    def name(self) -> str:
        """How a message calls it: `device emulator-5554`."""

    def lost(self, doing: str, error: Exception) -> DroidheadersError:
        """Find out why the connection broke while `doing`, and say so."""

    def refused(self, doing: str, text: str) -> DroidheadersError:
        """Say what the server's FAIL text means for this peer."""


@contextmanager
def mapped(peer: Peer, doing: str) -> Iterator[None]:
    """Turn what a socket operation raises into our errors about `peer`; bugs pass unchanged."""
    from droidheaders.adb._adbutils import AdbError, AdbTimeout

    try:
        yield
    except DroidheadersError:
        raise
    except (TimeoutError, AdbTimeout) as error:
        raise DeviceTimeoutError(
            f"{peer.name} did not answer in time while {doing}",
            "look at `droidheaders devices`, or give more time with --timeout SECONDS",
        ) from error
    except AdbError as error:
        raise peer.refused(doing, str(error.args[0] if error.args else error)) from error
    except (OSError, EOFError, struct.error) as error:
        raise peer.lost(doing, error) from error
    except ValueError as error:
        raise DeviceLostError(
            f"{peer.name} answered something that is not adb while {doing}: "
            f"{printable(str(error))}",
            "check the server's port with `droidheaders devices -v`",
        ) from error


def adb_command(serial: str) -> str:
    """Return how an adb command for this device begins, for a person to type into a shell."""
    return f"adb -s {shlex.quote(printable(serial))}"


def state_error(serial: str, state: str, note: str = "") -> NoDeviceError:
    """Return the error for a device that is listed but not usable in `state` (adb's own word)."""
    adb = adb_command(serial)
    sentence, hint = {
        "offline": ("is offline", f"replug it, or `{adb} reconnect`"),
        "unauthorized": (
            "has not authorised this computer",
            "unlock it and accept the USB debugging dialog on its screen",
        ),
        "authorizing": ("is still authorising", f"`{adb} wait-for-device`"),
        "connecting": ("is still connecting", f"`{adb} wait-for-device`"),
        "no permissions": (
            "may not be opened by you over USB",
            "add its udev rule (package android-sdk-platform-tools-common) and join the group "
            "plugdev, then replug it",
        ),
    }.get(state, (f"is in state {printable(state)}", f"boot it: `{adb} reboot`"))
    extra = f": {printable(note)}" if note else ""
    return NoDeviceError(f"device {printable(serial)} {sentence}{extra}", hint)


@functools.cache
def warn_once(text: str) -> None:
    """Warn the person, the first time this text comes up in the process."""
    ui.warn(text)
