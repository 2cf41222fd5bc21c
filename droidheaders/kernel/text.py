"""Text as it arrives: what a device, a terminal or Windows' shells made of it."""

from __future__ import annotations

import codecs


def decode(data: bytes) -> str:
    """Return bytes as text: UTF-8, or the UTF-16 that Windows' shells redirect into a file.

    What cannot be decoded is replaced; a byte order mark is dropped.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    # Without a mark the zero byte of the first character, always ASCII, tells.
    for order, zero in (("utf-16-le", data[1:2]), ("utf-16-be", data[:1])):
        if zero == b"\0":
            return data.decode(order, "replace")
    return data.decode("utf-8-sig", "replace")
