"""What is made of a bundle: once, beside it, whole or not at all, and gone with it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from droidheaders.cache import Bundle, Cache
from droidheaders.cache.prune import prune
from droidheaders.cache.space import measure
from droidheaders.cache.verify import damage, repair
from droidheaders.errors import DroidheadersError
from tests.cache.making import make

SIZE = 100_000


def fill(place: Path) -> None:
    (place / "btf").write_bytes(b"x" * SIZE)


def never(place: Path) -> None:
    raise AssertionError("made again")


def test_it_is_made_once(cache: Cache, bundle: Bundle) -> None:
    place = cache.derived.make(bundle, "btf", ["pahole 1"], fill)
    assert (place / "btf").stat().st_size == SIZE
    assert cache.derived.make(bundle, "btf", ["pahole 1"], never) == place
    assert cache.derived.made(bundle.name) == [place]
    assert cache.derived.of(bundle.name) in place.parents


def test_what_is_made_of_no_bundle_stays_while_it_is_used(cache: Cache, bundle: Bundle) -> None:
    place = cache.derived.make(None, "step", ["1"], fill)
    assert cache.derived.make(None, "step", ["1"], never) == place
    prune(cache)
    assert place.is_dir()
    for path in (place, place.parent):
        os.utime(path, (0, 0))
    cache.derived.sweep(cache.kernels)
    assert not place.exists()


def test_other_inputs_are_another_thing(cache: Cache, bundle: Bundle) -> None:
    places = {
        cache.derived.make(bundle, "btf", ["pahole 1"], fill),
        cache.derived.make(bundle, "btf", ["pahole 2"], fill),
        cache.derived.make(bundle, "btf", ["pahole", "1"], fill),
        cache.derived.make(bundle, "vmlinux", ["pahole 1"], fill),
        cache.derived.make(make(cache, "6.1.177"), "btf", ["pahole 1"], fill),
    }
    assert len(places) == 5
    assert all(place.is_dir() for place in places)


def test_a_bundle_that_was_made_anew_is_another(cache: Cache, bundle: Bundle) -> None:
    place = cache.derived.make(bundle, "btf", [], fill)
    (bundle.path / "config").write_text("rotten")
    assert repair(cache, bundle.path)
    assert not place.exists()
    there = Bundle.load(bundle.path)
    assert there
    assert cache.derived.make(there, "btf", [], fill) != place


def test_what_others_made_of_it_goes_after_a_day(cache: Cache, bundle: Bundle) -> None:
    old, young, other = (
        cache.derived.make(bundle, what, [tool], fill)
        for what, tool in (("btf", "1"), ("btf", "2"), ("vmlinux", "1"))
    )
    for place in (old, other):
        os.utime(place, (0, 0))
    new = cache.derived.make(bundle, "btf", ["3"], fill)
    assert set(cache.derived.made(bundle.name)) == {young, other, new}


def test_use_is_noted(cache: Cache, bundle: Bundle) -> None:
    place = cache.derived.make(bundle, "btf", [], fill)
    for path in (place, bundle.path):
        os.utime(path, (0, 0))
    cache.derived.make(bundle, "btf", [], never)
    assert min(place.stat().st_mtime, bundle.used()) > time.time() - 100


def test_a_maker_that_fails_leaves_nothing(cache: Cache, bundle: Bundle) -> None:
    def fail(place: Path) -> None:
        fill(place)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.derived.make(bundle, "btf", [], fail)
    assert cache.derived.made(bundle.name) == []
    assert [p.name for p in (cache.root / "derived").iterdir()] == [bundle.name]
    assert not any((cache.root / "locks").iterdir())


def test_a_disk_that_will_not(cache: Cache, bundle: Bundle) -> None:
    (cache.root / "derived").write_text("in the way")
    with pytest.raises(DroidheadersError, match="cannot write to the cache"):
        cache.derived.make(bundle, "btf", [], fill)


def test_eight_at_once_make_it_once(cache: Cache, bundle: Bundle) -> None:
    made = []

    def slow(place: Path) -> None:
        made.append(place)
        time.sleep(0.2)
        fill(place)

    def want() -> None:
        cache.derived.make(bundle, "btf", [], slow)

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_without_locks_the_first_keeps_it(cache: Cache, bundle: Bundle) -> None:
    """A lock is a courtesy: where none holds, both work and both get one."""

    def outrun(place: Path) -> None:
        code = (
            "import sys; from pathlib import Path; from droidheaders.cache import Bundle, Cache\n"
            "b = Bundle.load(Path(sys.argv[2])); assert b\n"
            "Cache(Path(sys.argv[1])).derived.make(b, 'btf', [],"
            " lambda place: (place / 'btf').write_text('first') and None)"
        )
        (cache.root / "locks").rename(cache.root / "gone")
        subprocess.run([sys.executable, "-c", code, cache.root, bundle.path], check=True)
        fill(place)

    place = cache.derived.make(bundle, "btf", [], outrun)
    assert (place / "btf").read_text() == "first"


def test_it_counts_and_goes_with_its_bundle(cache: Cache, bundle: Bundle) -> None:
    other = make(cache, "6.1.177")
    before = prune(cache, keep=0, dry_run=True)
    place = cache.derived.make(bundle, "btf", [], fill)
    kept = cache.derived.make(other, "btf", [], fill)
    os.utime(bundle.path, (0, 0))
    (would,) = prune(cache, keep=1, dry_run=True)
    assert would.name == bundle.name
    alone = next(one.freed for one in before if one.name == bundle.name)
    assert would.freed >= measure(place).apparent
    assert abs(would.freed - alone) < 2 * SIZE
    assert prune(cache, keep=1) == [would]
    assert not place.parent.exists()
    assert kept.is_dir()


def test_sweeping_takes_what_has_no_bundle(cache: Cache, bundle: Bundle) -> None:
    place = cache.derived.make(bundle, "btf", [], fill)
    orphan = cache.root / "derived/gone/btf-1"
    orphan.mkdir(parents=True)
    left, young = (cache.root / f"derived/.staging-{name}" for name in ("left", "young"))
    for staging in (left, young):
        staging.mkdir()
    os.utime(left, (0, 0))
    cache.sweep()
    assert place.is_dir()
    assert young.is_dir()
    assert not orphan.exists()
    assert not left.exists()


def test_verify_looks_at_bundles_only(cache: Cache, bundle: Bundle) -> None:
    cache.derived.make(bundle, "btf", [], fill)
    assert damage(bundle.path) == {}
    assert [b.name for b in cache.bundles()] == [bundle.name]
