"""kheaders.ko: the archive lies in it as it is, so its file can be read instead of loading it.

kernel/kheaders.c includes the archive into .rodata between the symbols kernel_headers_data and
kernel_headers_data_end. Reading the file asks less of a device than insmod, the archive in sysfs
and rmmod: nothing changes there, no signature is asked for, and it takes half the time. What
insmod would compare, the release in vermagic, is compared here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from droidheaders.headers.limits import ArchiveError, NotInFileError
from droidheaders.headers.xz import MAGIC
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.ui import printable

SEARCHED = 64 * 1024  # real ones have it within the first kilobyte


class ModuleFile:
    """One pass over the module's bytes; what is not archive is kept to be checked in the end.

    `vermagic` is the module's, once it was checked.
    """

    def __init__(self, head: bytes = b"", tail: bytes = b"") -> None:
        """Make one that is yet to be read, or of what is around an archive that was read."""
        self._head = head
        self.tail = bytearray(tail)
        self.vermagic = ""

    def archive(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the bytes from the archive's first on; what is behind its last goes to `tail`.

        Raises NotInFileError, before it has yielded anything, when no archive begins in the file.
        """
        head = b""
        for chunk in chunks:
            head += chunk
            at = head.find(MAGIC, 0, SEARCHED)
            if at >= 0:
                self._head = head[:at]
                yield head[at:]
                break
            if len(head) >= SEARCHED:
                break
        if not self._head.startswith(b"\x7fELF"):
            raise NotInFileError
        yield from chunks

    def check(self, size: int, kernel: KernelIdentity) -> None:
        """Raise ArchiveError unless the `size` bytes taken are what the module calls its archive.

        And unless the module was built for this release, which is the start of its vermagic.
        """
        from elftools.elf.elffile import ELFFile  # 45 ms

        try:
            elf: Any = ELFFile(io.BytesIO(self._head + bytes(size) + self.tail))
            start, end = _offset(elf, "data"), _offset(elf, "data_end")
            modinfo = elf.get_section_by_name(".modinfo").data().split(b"\0")
        except Exception as e:  # pyelftools trusts its input: what it raises is whatever happens
            raise ArchiveError(f"is in a damaged module: {printable(str(e))}") from e
        if (start, end) != (len(self._head), len(self._head) + size):
            raise ArchiveError(
                f"is {size} bytes long, and its module says {end - start} at {start}"
            )
        vermagic = next((field for field in modinfo if field.startswith(_vermagic(kernel))), None)
        if vermagic is None:
            raise ArchiveError("is in a module of another kernel: its vermagic differs")
        self.vermagic = vermagic.decode("utf-8", "replace").partition("=")[2]


def _offset(elf: Any, name: str) -> int:
    """Return where in the file the symbol kernel_headers_NAME points."""
    symbol = elf.get_section_by_name(".symtab").get_symbol_by_name(f"kernel_headers_{name}")[0]
    return int(elf.get_section(symbol["st_shndx"])["sh_offset"] + symbol["st_value"])


def _vermagic(kernel: KernelIdentity) -> bytes:
    return b"vermagic=" + kernel.release.encode() + b" "
