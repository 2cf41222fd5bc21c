"""Write the archives an initramfs is made of: newc cpio, the same bytes for the same input.

The format is Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.
"""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

_HEADER = "070701" + "{:08X}" * 13
_TRAILER = "TRAILER!!!"


class CpioWriter:
    """Append entries to `fileobj`; inode numbers count up and every mtime is 0.

    Parents are not made up: add a directory before what is in it, as the kernel wants.
    """

    def __init__(self, fileobj: BinaryIO) -> None:
        self._out = fileobj
        self._inode = 0

    def add_dir(self, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        """Add a directory."""
        self._add(path, stat.S_IFDIR | mode, uid=uid, gid=gid, nlink=2)

    def add_file(
        self, path: str, data: bytes, mode: int = 0o644, uid: int = 0, gid: int = 0
    ) -> None:
        """Add a regular file holding `data`."""
        self._add(path, stat.S_IFREG | mode, data, uid=uid, gid=gid)

    def add_symlink(self, path: str, target: str) -> None:
        """Add a symbolic link to `target`, which is stored as given."""
        self._add(path, stat.S_IFLNK | 0o777, os.fsencode(target))

    def add_node(self, path: str, mode: int, major: int, minor: int) -> None:
        """Add a device node; `mode` includes the type, such as stat.S_IFCHR | 0o600."""
        self._add(path, mode, rdev=(major, minor))

    def close(self) -> None:
        """Write the trailer; `fileobj` stays open, so that another archive can follow."""
        self._inode = -1
        self._add(_TRAILER, 0)

    def _add(
        self,
        path: str,
        mode: int,
        data: bytes = b"",
        *,
        uid: int = 0,
        gid: int = 0,
        nlink: int = 1,
        rdev: tuple[int, int] = (0, 0),
    ) -> None:
        name = os.fsencode(path.strip("/")) + b"\0"
        if len(name) == 1 or b"\0" in name[:-1]:
            raise ValueError(f"not a path for an archive: {path!r}")
        self._inode += 1
        # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        fields = (self._inode, mode, uid, gid, nlink, 0, len(data), 0, 0, *rdev, len(name), 0)
        header = _HEADER.format(*fields).encode() + name
        self._out.write(header + b"\0" * (-len(header) % 4))
        self._out.write(data + b"\0" * (-len(data) % 4))
