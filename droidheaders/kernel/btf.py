"""The kernel's own BTF, from /sys/kernel/btf/vmlinux."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders.errors import HeadersError

if TYPE_CHECKING:
    from droidheaders.adb import Device

_LIMIT = 64 << 20  # real ones are 3 to 8 MiB
_MAGIC = b"\x9f\xeb"  # struct btf_header, include/uapi/linux/btf.h, little-endian


def save_btf(device: Device, path: Path) -> int:
    """Write the BTF of `device` to `path` and return its size in bytes.

    Raises HeadersError when what comes is no BTF or has no end, and what Device.stream raises.
    """
    size = 0
    with path.open("xb") as file, device.stream("cat /sys/kernel/btf/vmlinux") as stream:
        for chunk in stream:
            if not size and not bytes(chunk).startswith(_MAGIC):
                break
            size += len(chunk)
            if size > _LIMIT:
                break
            file.write(chunk)
        else:
            if size and stream.status == 0:
                return size
    path.unlink()
    raise HeadersError(f"/sys/kernel/btf/vmlinux of {device.name} is no BTF")
