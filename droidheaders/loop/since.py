"""The part of a kernel's log that is new since a moment, without a word written into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from droidheaders.adb import Root


def now(root: Root) -> bytes:
    """Return what tells this moment in the kernel's log: its last line, with the time in it."""
    return root.shell("dmesg | tail -n 1").stdout


def log(root: Root, moment: bytes = b"") -> bytes:
    """Return the kernel's log since `moment`; all of it where that was overwritten, or is b""."""
    text = root.shell("dmesg").stdout
    before, found, after = text.partition(moment) if moment.strip() else (text, b"", b"")
    return after if found else before
