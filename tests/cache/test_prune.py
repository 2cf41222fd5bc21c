"""The longest unused goes first, by any of the criteria, and what stays is whole."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from droidheaders.cache import Cache
from droidheaders.cache.prune import prune
from droidheaders.cache.space import measure, on_disk
from droidheaders.cache.verify import damage
from tests.cache.making import kernel, make

DAY = 86400
RELEASES = ["6.1.1", "6.1.2", "6.1.3", "6.1.4"]  # the first unused for the longest time


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    cache = Cache(tmp_path / "cache")
    now = time.time()
    for age, release in enumerate(reversed(RELEASES)):
        bundle = make(cache, release, {"include/big.h": release.encode() * 50_000})
        os.utime(bundle.path, (now - age * DAY - 60, now - age * DAY - 60))
    return cache


def left(cache: Cache) -> list[str]:
    return [bundle.kernel.release for bundle in cache.bundles()]


@pytest.mark.parametrize(
    ("criteria", "stays"),
    [
        ({"keep": 4}, RELEASES),
        ({"keep": 2}, RELEASES[2:]),
        ({"keep": 0}, []),
        ({"older_than": 2 * DAY}, RELEASES[2:]),
        ({"older_than": 0}, []),
        ({"older_than": 30 * DAY}, RELEASES),
        ({"max_size": 0}, []),
        ({"max_size": 1 << 30}, RELEASES),
        ({"keep": 3, "older_than": 2 * DAY}, RELEASES[2:]),
        ({"keep": 1, "older_than": 2 * DAY}, RELEASES[3:]),
    ],
)
def test_criteria(cache: Cache, criteria: dict[str, Any], stays: list[str]) -> None:
    would = prune(cache, **criteria, dry_run=True)
    assert left(cache) == RELEASES
    done = prune(cache, **criteria)
    assert done == would
    assert left(cache) == stays
    assert [one.name.split("-")[0] for one in done] == [r for r in RELEASES if r not in stays]
    for bundle in cache.bundles():
        assert damage(bundle.path) == {}


def test_max_size_is_of_the_disk(cache: Cache) -> None:
    whole = on_disk([measure(path) for path in cache.directories()])
    [pruned] = prune(cache, max_size=whole - 1)
    assert on_disk([measure(path) for path in cache.directories()]) == whole - pruned.freed
    assert left(cache) == RELEASES[1:]


def test_use_saves(cache: Cache) -> None:
    assert cache.lookup(kernel("6.1.1"))
    prune(cache, keep=1)
    assert left(cache) == ["6.1.1"]


def test_a_damaged_bundle_goes_first(cache: Cache) -> None:
    [newest] = [b for b in cache.bundles() if b.kernel.release == RELEASES[-1]]
    (newest.path / "bundle.json").unlink()
    [pruned] = prune(cache, keep=3)
    assert pruned.name == newest.name


def test_what_points_nowhere_goes_too(cache: Cache) -> None:
    prune(cache, keep=1)
    assert len(list((cache.root / "index").iterdir())) == 1
    assert [p.name for p in (cache.root / "kernels").glob(".*")] == []


@pytest.mark.parametrize(("age", "stays"), [(0, True), (DAY, False)])
def test_an_index_entry_in_the_making_stays(cache: Cache, age: int, stays: bool) -> None:
    """Taken away before its rename, it would fail the pull that writes it; a kill leaves it."""
    half = cache.root / "index/.key.1.abcd"
    half.write_bytes(b"")
    os.utime(half, (time.time() - age,) * 2)
    prune(cache, keep=4)
    assert half.exists() == stays


def test_an_empty_cache(tmp_path: Path) -> None:
    assert prune(Cache(tmp_path / "none"), keep=0) == []
    assert not (tmp_path / "none").exists()
