"""What the adb server lists: one `Attached` a line of `host:devices-l`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from droidheaders.adb.endpoint import is_loopback


@dataclass(frozen=True)
class Attached:
    """One line of `adb devices -l`.

    `state` is adb's own word (device, offline, unauthorized, recovery, "no permissions" …), `note`
    what adb adds to it, `usb` the device path (`usb:1-4`) and empty for emulators and TCP.
    `transport_id` is 0 with servers too old to have them.
    """

    serial: str
    state: str
    transport_id: int = 0
    product: str = ""
    model: str = ""
    device: str = ""
    usb: str = ""
    note: str = ""

    @property
    def remote_host(self) -> str:
        """The host of a `HOST:PORT` serial when it is another machine, else empty."""
        host, _, port = self.serial.rpartition(":")
        if not host or not port.isdigit() or self.serial.startswith("vsock:"):
            return ""
        host = host.strip("[]")
        return "" if is_loopback(host) else host


# AOSP transport.cpp, append_transport(): the serial padded to 22 columns, the state, the device
# path, then product:, model:, device: where known, and transport_id: always last.
_LINE = re.compile(
    r"""(?P<serial>\(no\ serial\ number\)|\S+)\s+
        (?P<state>no\ permissions|\S+)
        (?P<note>(?<=permissions).*?(?:\[[^\]]*\]|\)(?!;)|(?=\s)|$))?
        (?:\ (?P<usb>(?!product:|model:|device:|transport_id:)\S+))?
        (?:\ product:(?P<product>.*?))?
        (?:\ model:(?P<model>.*?))?
        (?:\ device:(?P<device>.*?))?
        (?:\ transport_id:(?P<transport_id>\d+))?\s*""",
    re.VERBOSE,
)


def parse_devices(text: str) -> list[Attached]:
    """Return the devices in the answer to `host:devices-l`, in the server's order.

    The state may be a sentence: `no permissions (user in plugdev group; are your udev rules
    wrong?); see [http://…]`. Lines that are no device are left out.
    """
    found = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        fields = {name: value or "" for name, value in match.groupdict().items()}
        transport_id = int(fields.pop("transport_id") or 0)
        fields["note"] = fields["note"].strip()
        found.append(Attached(transport_id=transport_id, **fields))
    return found
