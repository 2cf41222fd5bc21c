"""What is known of a device beyond adb, when it crashes: of a guest of ours, the console."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.guest.instance import Instance


def guest_of(device: Device) -> Instance | None:
    """Return the guest of ours that the device is, or None; that has a console to read."""
    from droidheaders.guest import instance

    return next((one for one in instance.instances() if one.serial == device.serial), None)


def console_of(device: Device) -> Callable[[], str] | None:
    """Return what reads the console of a device that is a guest of ours, or None."""
    from droidheaders.guest import console

    guest = guest_of(device)
    return (lambda: console.read(guest.console)) if guest else None


def restart(device: Device) -> str:
    """Return the command that has the device boot again: a guest does not come back by itself."""
    if guest := guest_of(device):
        recipe = f"{guest.recipe} --persona {guest.persona}"
        return f"droidheaders emulator stop {guest.name}; droidheaders emulator start {recipe}"
    return f"{device.adb} reboot"
