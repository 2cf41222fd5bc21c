"""A service of adbd that answers with text and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from droidheaders.adb._errors import mapped

if TYPE_CHECKING:
    from droidheaders.adb.device import Device


def ask(device: Device, service: str, doing: str) -> str:
    """Return what `service` answers; raises what `Device.shell` raises, with `doing` in words."""
    with mapped(device, doing), device.open_service(service, device.server.timeout) as connection:
        return str(connection.read_to_end())
