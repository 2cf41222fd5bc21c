"""Files that a new bundle has in common with the bundles that are there.

Two releases of one series share 95% of their files, and those under the same name: of 6.1.176 and
6.1.187 no file was found by its content that was not found by its path. So the bundles themselves
are the store of content. There is nothing to collect when a bundle goes, and no object without an
owner; the file system's own link count says who still needs a file.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from droidheaders.cache.bundle import Bundle

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True)
class _Source:
    base: str
    sha256: dict[str, str]
    sealed: int  # when the manifest was written: a file changed later is not what it vouches for


class Neighbours:
    """The bundles to share files with, the likeliest first."""

    def __init__(self, bundles: list[Bundle]) -> None:
        self._sources = [source for b in bundles if (source := _source(b)) is not None]

    def share(self, name: str, data: memoryview, path: str) -> str:
        """Make `path` a link to a neighbour's header `name`, if that is exactly `data`.

        Returns its SHA-256, or "" when there is none to link to, for whatever reason: it may have
        been pruned a moment ago, be damaged, belong to somebody else, or have no link left.
        """
        for source in self._sources:
            digest = source.sha256.get(name)
            if digest and _same(source.base + name, data, source.sealed):
                try:
                    os.link(source.base + name, path, follow_symlinks=False)
                except FileExistsError:
                    raise
                except OSError:
                    continue
                return digest
        return ""


def _source(bundle: Bundle) -> _Source | None:
    try:
        sealed = (bundle.path / "manifest").stat().st_mtime_ns
        return _Source(f"{bundle.headers}/", bundle.header_digests(), sealed)
    except (OSError, ValueError):
        return None


def _same(path: str, data: memoryview, sealed: int) -> bool:
    try:
        fd = os.open(path, _OPEN)
    except OSError:
        return False
    try:
        info = os.fstat(fd)
        return (
            stat.S_ISREG(info.st_mode)
            and info.st_size == len(data)
            and info.st_mtime_ns <= sealed
            and os.read(fd, len(data) + 1) == data
        )
    except OSError:
        return False
    finally:
        os.close(fd)
