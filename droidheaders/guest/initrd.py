"""The initramfs: the userland, then what belongs to the kernel, then what a person adds.

The kernel unpacks any number of archives one after the other
(Documentation/driver-api/early-userspace/buffer-format.rst). None is compressed: emulated, that
would cost more than it saves, and a kernel of one's own may not know the compression.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from droidheaders.guest import modules
from droidheaders.guest.cpio import CpioWriter

BOOT_DIR = "boot-modules"
"""Modules that init loads before anything else, in the order of the file `load`."""

CHROOT = "debian"
"""Where the packages of a recipe are in its guest."""


class _Tree:
    """A cpio writer that adds the parents of what is added."""

    def __init__(self, out: BinaryIO) -> None:
        self._cpio = CpioWriter(out)
        self._known = {PurePosixPath(".")}

    def add(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self.parents(path)
        self._cpio.add_file(path, data, mode)

    def link(self, path: str, target: str) -> None:
        self.parents(path)
        self._cpio.add_symlink(path, target)

    def parents(self, path: str) -> None:
        for parent in reversed(PurePosixPath(path).parents):
            if parent not in self._known:
                self._known.add(parent)
                self._cpio.add_dir(str(parent))

    def overlay(self, directory: Path, below: str = "") -> None:
        for path in sorted(directory.rglob("*")):
            name = str(PurePosixPath(below) / path.relative_to(directory))
            if path.is_symlink():
                self.link(name, str(path.readlink()))
            elif path.is_file():
                self.add(name, path.read_bytes(), path.stat().st_mode & 0o777)
            elif path.is_dir():
                self.parents(f"{name}/x")

    def close(self) -> None:
        self._cpio.close()


def kernel_part(out: BinaryIO, release: str, boot: Sequence[Path], kheaders: Path) -> None:
    """Write what a packaged kernel brings: `boot` modules in order, and kheaders.ko.

    The latter is where Android has it: on system_dlkm, below the kernel's release.
    """
    tree = _Tree(out)
    _boot_modules(tree, boot)
    place = f"system_dlkm/lib/modules/{release}"
    tree.add(f"{place}/kernel/kernel/kheaders.ko", kheaders.read_bytes())
    tree.add(f"{place}/modules.dep", b"kernel/kernel/kheaders.ko:\n")
    tree.close()


def custom_part(
    out: BinaryIO, boot: Sequence[Path], directory: Path | None, extra: Path | None
) -> None:
    """Write what a person's own kernel brings: its modules, and files laid over everything.

    `directory` is like /lib/modules/<release>, and its name is the release.
    """
    tree = _Tree(out)
    _boot_modules(tree, boot)
    if directory:
        place = f"system_dlkm/lib/modules/{directory.resolve().name}"
        # not `build` and `source`, which lead to a kernel tree of the host
        for entry in sorted(directory.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                tree.overlay(entry, f"{place}/{entry.name}")
            elif entry.is_file():
                tree.add(f"{place}/{entry.name}", entry.read_bytes())
    if extra:
        tree.overlay(extra)
    tree.close()


def chroot_part(out: BinaryIO, root: Path, command: Path) -> None:
    """Write the directory `root` as /debian, and `command` that runs programs of it."""
    tree = _Tree(out)
    tree.overlay(root, CHROOT)
    for name in ("data/local", "dev", "lib/modules", "proc", "sys", "tmp"):
        tree.parents(f"{CHROOT}/{name}/x")
    tree.add(f"system/bin/{command.name}", command.read_bytes(), 0o755)
    tree.close()


def _boot_modules(tree: _Tree, boot: Iterable[Path]) -> None:
    names = []
    for path in boot:
        name = f"{BOOT_DIR}/{modules.module_name(path.name)}.ko"
        tree.add(name, modules.read(path))
        names.append(f"/{name}\n")
    tree.add(f"{BOOT_DIR}/load", "".join(names).encode())


def concatenate(parts: Iterable[Path], into: Path) -> None:
    """Write `parts` one after the other."""
    with into.open("wb") as out:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, out)
            # the kernel skips zeros between archives up to a multiple of four (init/initramfs.c)
            out.write(b"\0" * (-out.tell() % 4))
