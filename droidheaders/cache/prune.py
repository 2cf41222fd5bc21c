"""Which bundles to take away, the longest unused first."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from droidheaders.cache.bundle import Bundle
from droidheaders.cache.space import Space, measure, on_disk
from droidheaders.cache.store import Cache


@dataclass(frozen=True)
class Pruned:
    """A bundle taken away, or to be: its directory's name, and the bytes that this sets free."""

    name: str
    freed: int


def prune(
    cache: Cache,
    *,
    keep: int | None = None,
    older_than: float | None = None,
    max_size: int | None = None,
    dry_run: bool = False,
) -> list[Pruned]:
    """Take away what any of the criteria names, and return it in that order.

    `keep`: all but that many bundles; `older_than`: what was last used that many seconds ago;
    `max_size`: as many as it takes until the rest holds at most that many bytes on the disk. A
    damaged bundle serves nobody and goes first. `dry_run` changes nothing.
    """
    paths = sorted(cache.directories(), key=_used)  # the first to go comes first
    spaces = [measure(path, *cache.beside(path.name)) for path in paths]
    now = time.time()
    pruned = []
    for at, path in enumerate(paths):
        left = len(paths) - at
        if not (
            (keep is not None and left > keep)
            or (older_than is not None and now - _used(path) > older_than)
            or (max_size is not None and on_disk(spaces[at:]) > max_size)
        ):
            break
        if dry_run or cache.remove(path):
            pruned.append(Pruned(path.name, _freed(spaces[at:])))
    if not dry_run:
        cache.sweep()
        cache.index.forget(cache.kernels)
    return pruned


def _used(path: Path) -> float:
    """Return when the bundle was last used; 0 for one that is damaged."""
    bundle = Bundle.load(path)
    try:
        return bundle.used() if bundle else 0.0
    except OSError:  # somebody else took it
        return 0.0


def _freed(spaces: list[Space]) -> int:
    return on_disk(spaces) - on_disk(spaces[1:])
