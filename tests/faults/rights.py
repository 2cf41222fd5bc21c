"""Take from root what it has over everybody else, so that a file's mode means something."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

# capability.h: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, in the first of two words of 32 bits.
_DAC = 1 << 1 | 1 << 2
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def bound_by_modes() -> Iterator[None]:
    """Have this thread read and write only what modes let it; others keep what they have."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()

    def call(name: str) -> None:
        if getattr(libc, name)(ctypes.byref(header), data) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)

    call("capget")
    before = data[0].effective
    data[0].effective &= ~_DAC
    call("capset")
    try:
        yield
    finally:
        data[0].effective = before
        call("capset")
