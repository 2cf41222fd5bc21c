"""Which kernel this is: one build of Linux."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from droidheaders.ui import printable

SRCARCH = {"x86_64": "x86", "aarch64": "arm64", "riscv64": "riscv"}
"""`uname -m` to the kernel's own directory below arch/ (SRCARCH in the top Makefile)."""

_NT_GNU_BUILD_ID = 3


@dataclass(frozen=True)
class KernelIdentity:
    """One build of a kernel. `build_id` is vmlinux's GNU build-id in hex, or "" when not readable.

    Release, version and machine are what uname(2) says. They alone do not tell two builds apart:
    local GKI builds fix the time stamp in `version`, so they share all three.
    """

    release: str
    version: str
    machine: str
    build_id: str

    @property
    def arch(self) -> str:
        """Return the kernel's name of the architecture, as in arch/NAME."""
        if self.machine.startswith("arm"):
            return "arm"
        if self.machine[:1] == "i" and self.machine.endswith("86"):
            return "x86"
        return SRCARCH.get(self.machine, self.machine)

    @property
    def number(self) -> tuple[int, int] | None:
        """Return the release's first two numbers, such as (6, 1), or None when it has none."""
        match = re.match(r"(\d{1,3})\.(\d{1,4})(?!\d)", self.release, re.ASCII)
        return (int(match[1]), int(match[2])) if match else None

    def __str__(self) -> str:
        return f"{printable(self.release)} ({printable(self.machine)})"


def build_id_of_notes(notes: bytes) -> str:
    """Return the GNU build-id in an ELF notes section such as /sys/kernel/notes, as hex, or "".

    A note is three native 32-bit words (name size, descriptor size, type), then name and
    descriptor, each padded to 4 bytes: elf(5). All kernels Android runs on are little-endian.
    """
    at = 0
    while at + 12 <= len(notes):
        name_size, desc_size, kind = struct.unpack_from("<III", notes, at)
        name_at = at + 12
        desc_at = name_at + (name_size + 3) // 4 * 4
        at = desc_at + (desc_size + 3) // 4 * 4
        if kind == _NT_GNU_BUILD_ID and notes[name_at : name_at + name_size] == b"GNU\0":
            desc = notes[desc_at : desc_at + desc_size]
            return desc.hex() if 8 <= desc_size == len(desc) <= 64 else ""
    return ""
