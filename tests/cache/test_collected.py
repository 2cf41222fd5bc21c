from __future__ import annotations

import os
import time

import pytest

from droidheaders.cache import Bundle, Cache, collected
from droidheaders.cache.prune import prune
from droidheaders.kernel.exports import Export
from droidheaders.kernel.known import ConflictError, Known, Table
from tests.cache.making import make

IMAGE = Table("image", {"kfree": Known(Export(1, "", False, "vmlinux"), "image", "boot")}, True)
USED = Table("versions", {"kfree": Known(Export(1), "versions", "a.ko")})


def test_kept_as_it_was(cache: Cache, bundle: Bundle) -> None:
    assert collected.tables(cache, bundle) == []
    collected.add(cache, bundle, [IMAGE, USED])
    collected.add(cache, bundle, [IMAGE, Table("exports", {})])
    assert collected.tables(cache, bundle) == [IMAGE, USED]
    assert collected.tables(cache, make(cache, "6.1.177")) == []
    collected.forget(cache, bundle)
    assert collected.tables(cache, bundle) == []


def test_nothing_of_a_conflict_is_kept(cache: Cache, bundle: Bundle) -> None:
    other = Table("exports", {"kfree": Known(Export(2), "exports", "b.ko")})
    collected.add(cache, bundle, [IMAGE])
    with pytest.raises(ConflictError, match=r"boot, and 0x00000002 in __kcrctab of b.ko"):
        collected.add(cache, bundle, [USED, other])
    assert collected.tables(cache, bundle) == [IMAGE]


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"schema":1,"kind":"x"}', b"\xff"])
def test_a_damaged_table_is_none(cache: Cache, bundle: Bundle, damage: bytes) -> None:
    collected.add(cache, bundle, [IMAGE, USED])
    next((cache.collected / bundle.name).glob("image-*")).write_bytes(damage)
    assert collected.tables(cache, bundle) == [USED]


def test_gone_with_the_bundle_and_not_when_it_is_pulled_anew(cache: Cache) -> None:
    bundle = make(cache, btf=b"")
    collected.add(cache, bundle, [IMAGE])
    assert "btf" not in bundle.parts
    assert "btf" in make(cache).parts  # it takes the place
    assert collected.tables(cache, bundle) == [IMAGE]
    freed = prune(cache, keep=0)[0].freed
    assert freed > 0
    assert not (cache.collected / bundle.name).exists()


def test_orphans_go_after_a_day(cache: Cache, bundle: Bundle) -> None:
    collected.add(cache, bundle, [IMAGE])
    orphan = cache.collected / "gone"
    orphan.mkdir()
    cache.sweep()
    assert orphan.exists()
    os.utime(orphan, (time.time() - 100_000,) * 2)
    cache.sweep()
    assert [path.name for path in cache.collected.iterdir()] == [bundle.name]
