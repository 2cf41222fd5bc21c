"""Rot is found, whatever form it takes, and repaired from the archive or removed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from droidheaders.cache import Bundle, Cache
from droidheaders.cache.verify import damage, repair
from tests.archives import GOOD
from tests.cache.making import LINKS, kernel, make

SCHED = "headers/include/linux/sched.h"
LINK = f"headers/{next(iter(LINKS))}"
OWN = 5  # own.h, config, btf, bundle.json and archive.tar.xz differ from bundle to bundle


def flip(path: Path) -> None:
    """Change one byte and nothing else that a look at the file would show."""
    info, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def swap(path: Path, make_other: Callable[[Path], object]) -> None:
    path.unlink()
    make_other(path)


def rot(name: str) -> Callable[[Path], None]:
    return lambda bundle: flip(bundle / name)


ROT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (rot(SCHED), SCHED),
    "a truncated header": (lambda b: os.truncate(b / SCHED, 3), SCHED),
    "an empty header": (lambda b: os.truncate(b / SCHED, 0), SCHED),
    "a header gone": (lambda b: (b / SCHED).unlink(), SCHED),
    "all headers gone": (lambda b: (b / "headers").rename(b.parent / ".gone"), SCHED),
    "a header more": (lambda b: (b / "headers/evil.h").write_text("x"), "headers/evil.h"),
    "a header now a link": (lambda b: swap(b / SCHED, lambda p: p.symlink_to("x")), SCHED),
    "a header now a directory": (lambda b: swap(b / SCHED, Path.mkdir), SCHED),
    "a header now a fifo": (lambda b: swap(b / SCHED, os.mkfifo), SCHED),
    "a link gone": (lambda b: (b / LINK).unlink(), LINK),
    "a link elsewhere": (lambda b: swap(b / LINK, lambda p: p.symlink_to("/etc/passwd")), LINK),
    "an empty manifest": (lambda b: os.truncate(b / "manifest", 0), "manifest"),
    "half a manifest": (lambda b: os.truncate(b / "manifest", 100), "manifest"),
    "no manifest": (lambda b: (b / "manifest").unlink(), "manifest"),
}


@pytest.mark.parametrize("fault", ROT)
def test_rotten_headers_are_made_again(cache: Cache, bundle: Bundle, fault: str) -> None:
    assert damage(bundle.path) == {}
    spoil, where = ROT[fault]
    spoil(bundle.path)
    wrong = damage(bundle.path)
    assert where in wrong
    assert repair(cache, bundle.path)
    assert damage(bundle.path) == {}
    repaired = cache.lookup(kernel("6.1.176"))
    assert repaired and repaired.path == bundle.path
    for name, data in GOOD.items():
        assert (repaired.headers / name).read_bytes() == data
    for name, target in LINKS.items():
        assert os.readlink(repaired.headers / name) == target


@pytest.mark.parametrize("part", ["config", "btf", "archive.tar.xz"])
def test_a_part_that_cannot_be_made_again_is_left_out(
    cache: Cache, bundle: Bundle, part: str
) -> None:
    flip(bundle.path / part)
    wrong = damage(bundle.path)
    assert wrong == {part: "has changed"}
    assert repair(cache, bundle.path)
    assert damage(bundle.path) == {}
    assert not (bundle.path / part).exists()
    again = Bundle.load(bundle.path)
    assert again and again.meta["warnings"] == [f"{part} was damaged, and is left out"]
    assert (again.headers / "include/linux/sched.h").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: flip(b / "bundle.json"),
        lambda b: (b / "bundle.json").unlink(),
        lambda b: (b / "bundle.json").write_text("{}"),
        lambda b: (rot(SCHED)(b), rot("archive.tar.xz")(b)),
        lambda b: (rot(SCHED)(b), (b / "archive.tar.xz").unlink()),
        lambda b: ((b / "manifest").unlink(), rot("archive.tar.xz")(b)),
    ],
    ids=["json flipped", "json gone", "json empty", "archive too", "no archive", "no witness"],
)
def test_what_nothing_vouches_for_is_removed(
    cache: Cache, bundle: Bundle, spoil: Callable[[Path], object]
) -> None:
    spoil(bundle.path)
    wrong = damage(bundle.path)
    assert wrong
    assert not repair(cache, bundle.path)
    assert cache.directories() == []
    assert cache.lookup(kernel("6.1.176")) is None
    assert make(cache).path == bundle.path  # and the next pull brings it again


def test_a_bundle_under_another_name_is_damaged(cache: Cache, bundle: Bundle) -> None:
    moved = bundle.path.rename(bundle.path.with_name("other"))
    assert damage(moved) == {"bundle.json": "cannot be read, or is another's"}


def test_rot_in_a_shared_file_is_found_in_each_and_repaired_in_each(
    cache: Cache, bundle: Bundle
) -> None:
    other = make(cache, "6.1.187")
    flip(bundle.path / SCHED)
    for one in (bundle, other):
        assert damage(one.path) == {SCHED: "has changed"}
        assert repair(cache, one.path)
    assert (bundle.path / SCHED).read_bytes() == GOOD["include/linux/sched.h"]
    assert damage(bundle.path) == damage(other.path) == {}
    assert (bundle.path / SCHED).samefile(other.path / SCHED)


def test_a_shared_file_is_read_once(cache: Cache, bundle: Bundle) -> None:
    other = make(cache, "6.1.187")
    seen: dict[tuple[int, int, int], str] = {}
    assert damage(bundle.path, seen) == {}
    before = len(seen)
    assert damage(other.path, seen) == {}
    assert len(seen) - before == OWN
