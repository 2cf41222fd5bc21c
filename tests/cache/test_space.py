"""Sizes: a file that several bundles share counts once on the disk."""

from __future__ import annotations

from pathlib import Path

from droidheaders.cache import Cache
from droidheaders.cache.space import measure, on_disk, own
from tests.cache.making import make

BIG = b"x" * 100_000


def test_a_shared_file_counts_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    first = make(cache, "6.1.176", {"include/big.h": BIG})
    second = make(cache, "6.1.187", {"include/big.h": BIG})
    assert (first.headers / "include/big.h").samefile(second.headers / "include/big.h")
    spaces = [measure(first.path), measure(second.path)]
    for space in spaces:
        assert space.apparent > len(BIG)
    alone = own(spaces)
    assert all(size < len(BIG) for size in alone)
    assert on_disk(spaces) > sum(alone) + len(BIG) - 1
    assert own(spaces[:1])[0] > len(BIG)


def test_what_is_gone_takes_nothing(tmp_path: Path) -> None:
    assert measure(tmp_path / "none").apparent == 0
    assert on_disk([]) == 0
