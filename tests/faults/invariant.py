"""What must hold after every fault: a verified bundle or none, and nothing touched outside."""

from __future__ import annotations

import os
from pathlib import Path

from droidheaders.cache import Bundle, Cache
from droidheaders.cache.verify import damage


def verified_or_none(root: Path) -> list[Bundle]:
    """Return the bundles of the cache at `root`, each of which is just what it says it is."""
    cache = Cache(root)
    for path in cache.directories():
        assert damage(path) == {}, path
    for entry in (root / "index").glob("[!.]*"):
        assert entry.stat().st_size > 0
    return cache.bundles()


def snapshot(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, time and content of everything below `root` by path; compare two of them."""
    found = {}
    for directory, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(directory, name)
            info = path.lstat()
            content = b""
            if path.is_symlink():
                content = os.fsencode(path.readlink())
            elif path.is_file():
                content = path.read_bytes()
            modified = 0 if path.is_dir() else info.st_mtime_ns
            found[str(path.relative_to(root))] = (info.st_mode, modified, content)
    return found
