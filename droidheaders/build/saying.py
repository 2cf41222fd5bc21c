"""What compilers say, fit for a terminal: they quote headers, which come from a device."""

from __future__ import annotations

import re

from droidheaders.ui import printable

SGR = re.compile(r"\x1b\[[\d;]*[mK]")
"""What compilers colour their words with."""

_UNSEEN = re.compile(r"[^\n\t -~\u00a0-\uffff]")


def shown(text: str) -> str:
    """Return a compiler's words without what a header may have put there for the terminal.

    An #error is quoted as it is.
    """
    parts = re.split(f"({SGR.pattern})", text)
    return "".join(
        part if number % 2 else _UNSEEN.sub(lambda m: printable(m[0]), part)
        for number, part in enumerate(parts)
    )
