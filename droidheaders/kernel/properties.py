"""Android's system properties, as getprop(1) lists them."""

from __future__ import annotations

import re

from droidheaders.kernel.text import decode

_LIMIT = 4 << 20  # characters that are looked at; real lists have 40,000 to 100,000
# The characters of a name are those of IsLegalPropertyName(), system/core/init/util.cpp.
_START = re.compile(r"^\[([\w.:@-]{1,1024})\]: \[", re.ASCII | re.MULTILINE)


def parse(data: bytes) -> dict[str, str]:
    r"""Return the properties in the output of getprop, by name; values may have several lines.

    An entry is `[name]: [value]`, and a value may hold brackets and newlines: it ends with the last
    bracket that ends a line before the next entry. getprop escapes nothing, so a value can pretend
    to be other entries; it sorts, and what a shell may set (debug.*, log.*, persist.*) comes before
    ro.*, so of a name listed twice the last counts. What was cut off is left out. Lines may end in
    CRLF, or CRCRLF as adb of before Android 7 made them, and data may be UTF-16.
    """
    text = "\n".join(line.rstrip("\r") for line in decode(data)[:_LIMIT].split("\n"))
    starts = [*_START.finditer(text)]
    found: dict[str, str] = {}
    for start, following in zip(starts, [*starts[1:], None], strict=False):
        value = text[start.end() : following.start() if following else None]
        close = len(value) - 1 if value.endswith("]") else value.rfind("]\n")
        if close >= 0:
            found[start[1]] = value[:close]
    return found
