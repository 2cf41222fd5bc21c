"""Which of the attached devices is meant, by adb's own rules."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from droidheaders.adb._errors import state_error
from droidheaders.adb.devices import Attached
from droidheaders.errors import NoDeviceError, UsageError
from droidheaders.ui import printable

# adbd answers a shell in these; AOSP adb.h, ConnectionState.
_USABLE = frozenset({"device", "recovery", "rescue"})


@dataclass(frozen=True)
class Selector:
    """What -s, -t, -d and -e say; nothing set means "the only device"."""

    serial: str | None = None
    transport_id: int | None = None
    usb: bool = False
    tcp: bool = False

    @classmethod
    def from_flags(
        cls,
        serial: str | None = None,
        transport_id: int | None = None,
        usb: bool = False,
        tcp: bool = False,
        env: Mapping[str, str] = os.environ,
    ) -> Selector:
        """Return the selector for these flags, with ANDROID_SERIAL where there is none of them.

        adb lets the last of two contradictory flags win; here that is a UsageError.
        """
        if transport_id is not None and transport_id < 1:
            raise UsageError(
                f"-t takes a positive transport id, not {transport_id}",
                "`droidheaders devices` lists the transport ids",
            )
        given = {"-s": bool(serial), "-t": transport_id is not None, "-d": usb, "-e": tcp}
        names = [flag for flag, on in given.items() if on]
        if len(names) > 1:
            raise UsageError(f"{' and '.join(names)} contradict each other", f"keep {names[0]}")
        if not names:
            serial = env.get("ANDROID_SERIAL")
        return cls(serial or None, transport_id, usb, tcp)

    def matches(self, device: Attached) -> bool:
        """Tell whether `device` is meant (AOSP transport.cpp, MatchesTarget())."""
        if self.transport_id is not None:
            return device.transport_id == self.transport_id
        if self.serial is not None:
            return self.serial in _names(device)
        if self.usb:
            return bool(device.usb)
        return not (self.tcp and device.usb)

    def __str__(self) -> str:
        if self.transport_id is not None:
            return f"transport id {self.transport_id}"
        if self.serial is not None:
            return f"serial {printable(self.serial)}"
        return "USB device" if self.usb else "emulator or TCP device" if self.tcp else "device"


def choose(attached: Sequence[Attached], selector: Selector) -> Attached:
    """Return the one device `selector` means.

    Raises NoDeviceError when there is none, when there are several (each is listed), or when the
    one there is cannot be used yet.
    """
    matching = [device for device in attached if selector.matches(device)]
    # adb passes over devices it may not open, unless there is nothing else.
    permitted = [device for device in matching if device.state != "no permissions"]
    found = permitted or matching
    if not found:
        raise _nothing(attached, selector)
    if len(found) > 1:
        raise NoDeviceError(
            f"there are {len(found)} devices and it is unclear which one is meant",
            "add one of: " + ", ".join(_flag(device, found) for device in found),
        )
    if found[0].state not in _USABLE:
        raise state_error(found[0].serial, found[0].state, found[0].note)
    return found[0]


def _names(device: Attached) -> set[str]:
    names = {device.serial}
    if device.usb:
        names.add(device.usb)
    else:
        names.add(device.serial.rpartition(":")[0])  # a TCP device may be named without its port
    for prefix, value in (
        ("product", device.product),
        ("model", device.model),
        ("device", device.device),
    ):
        if value:
            names.add(f"{prefix}:{value}")
    return names


def _nothing(attached: Sequence[Attached], selector: Selector) -> NoDeviceError:
    if not attached:
        what = "" if selector == Selector() else f", so {selector} cannot be found"
        return NoDeviceError(
            f"no device is attached{what}",
            "connect one with USB debugging on, or `droidheaders emulator start`",
        )
    return NoDeviceError(
        f"there is no {selector} among the {len(attached)} attached",
        "add one of: " + ", ".join(_flag(device, attached) for device in attached),
    )


def _flag(device: Attached, among: Sequence[Attached]) -> str:
    twins = sum(other.serial == device.serial for other in among)
    flag = f"-s {shlex.quote(printable(device.serial))}"
    if twins > 1 or " " in device.serial:
        flag = f"-t {device.transport_id}"
    about = device.model if device.state == "device" else device.state
    return f"{flag} ({printable(about)})" if about else flag
