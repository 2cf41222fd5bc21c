"""What bundles cost on the disk, where they share files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 512  # of st_blocks, whatever the file system's own is: stat(2)


@dataclass(frozen=True)
class Space:
    """A directory's files: `apparent` bytes as they say, and the bytes on the disk by inode."""

    apparent: int
    inodes: dict[tuple[int, int], int]


def measure(*directories: Path) -> Space:
    """Return the space of everything below them; what vanishes meanwhile counts nothing."""
    apparent = 0
    inodes = {}
    pending = [str(directory) for directory in directories]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    info = entry.stat(follow_symlinks=False)
                    inodes[info.st_dev, info.st_ino] = info.st_blocks * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        apparent += info.st_size
        except OSError:
            continue
    return Space(apparent, inodes)


def on_disk(spaces: Iterable[Space]) -> int:
    """Return the bytes that all of them hold together: a shared file counts once."""
    together: dict[tuple[int, int], int] = {}
    for space in spaces:
        together |= space.inodes
    return sum(together.values())


def own(spaces: list[Space]) -> list[int]:
    """Return for each the bytes that nobody else of them holds: what goes free when it goes."""
    holders = Counter(inode for space in spaces for inode in space.inodes)
    return [sum(size for inode, size in s.inodes.items() if holders[inode] == 1) for s in spaces]
