"""A program for a device: which machine it is for, and what has to be there to start it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from droidheaders.objects.elf import EXECUTABLE, SHARED, machine_name, text

MACHINES = {"aarch64": (183, 40), "x86_64": (62, 3), "armv7l": (40,), "armv8l": (40,), "i686": (3,)}
"""By what uname -m says, the e_machine of programs that a kernel may start, its own first."""

_INTERP = 3  # PT_INTERP
_PATH = 4096  # PATH_MAX
# Offsets in the header and in a program header of 32 and of 64 bits: elf(5).
_PLACES = {1: ("<I", 28, 42), 2: ("<Q", 32, 54)}
_SEGMENTS = {1: struct.Struct("<II8xI"), 2: struct.Struct("<I4xQ16xQ")}


@dataclass(frozen=True)
class Executable:
    """A program. `machine` is its e_machine, 0 of a script.

    `interpreter` is what starts it: the dynamic linker, or what a script has in its first line; ""
    for a static program.
    """

    machine: int
    interpreter: str

    @property
    def machine_name(self) -> str:
        """Return what its machine is called, such as AArch64."""
        return machine_name(self.machine)

    def runs_on(self, machine: str) -> bool:
        """Tell whether a kernel of `machine`, as uname -m has it, may start it."""
        return not self.machine or machine not in MACHINES or self.machine in MACHINES[machine]


def read_executable(data: bytes) -> Executable:
    """Return what a file says of itself; raises ValueError, the end of a sentence about it."""
    if data.startswith(b"#!"):
        words = data[2 : 2 + _PATH].partition(b"\n")[0].split()
        if not words:
            raise ValueError("is a script whose first line names no interpreter")
        return Executable(0, text(words[0]))
    if not data.startswith(b"\x7fELF"):
        raise ValueError("is no program: neither ELF nor a script with #!")
    if len(data) < 64 or data[4] not in _PLACES or data[5] != 1:
        raise ValueError("is no little-endian ELF program that is whole")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if kind not in (EXECUTABLE, SHARED):
        raise ValueError("is an ELF file, but no program: it is not linked")
    return Executable(machine, _interpreter(data))


def _interpreter(data: bytes) -> str:
    layout, at, counted = _PLACES[data[4]]
    (start,) = struct.unpack_from(layout, data, at)
    size, count = struct.unpack_from("<HH", data, counted)
    segment = _SEGMENTS[data[4]]
    if count and size < segment.size:
        raise ValueError("is damaged: its program headers are too short")
    if start + count * size > len(data):
        raise ValueError("is cut off: its program headers are not all there")
    for number in range(count):
        what, offset, length = segment.unpack_from(data, start + number * size)
        if what == _INTERP:
            if not 1 < length <= _PATH or offset + length > len(data):
                raise ValueError("is damaged: its interpreter has no name")
            return text(data[offset : offset + length].partition(b"\0")[0])
    return ""
