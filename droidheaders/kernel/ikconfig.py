"""IKCONFIG: the kernel's own configuration, from /proc/config.gz."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from droidheaders.errors import HeadersError

if TYPE_CHECKING:
    from droidheaders.adb import Device

_COMPRESSED, _PLAIN = 2 << 20, 16 << 20  # real ones are 30 to 60 KB and 150 to 300 KB


def read_ikconfig(device: Device) -> bytes:
    """Return /proc/config.gz of `device`, decompressed.

    Raises HeadersError when it is no gzip file of a sane size, and what Device.stream raises.
    """
    data = b""
    with device.stream("cat /proc/config.gz") as stream:
        for chunk in stream:
            data += chunk
            if len(data) > _COMPRESSED:
                break
    gzip = zlib.decompressobj(wbits=31)
    try:
        config = gzip.decompress(data, _PLAIN)
    except zlib.error:
        config = b""
    if not gzip.eof or b"CONFIG_" not in config:
        raise HeadersError(f"/proc/config.gz of {device.name} is no configuration")
    return config
