"""Bundles appear whole, by one rename, and are found by identity only when that is certain."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from pathlib import Path

import pytest

from droidheaders.cache import Bundle, Cache, Staging
from droidheaders.cache.bundle import bundle_name
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.kernel import KernelIdentity
from tests.cache.making import meta

KERNEL = KernelIdentity("6.1.0-test", "#1 SMP", "aarch64", "ab" * 20)
SHA = "0123456789abcdef" * 4


def fill(staging: Staging, text: str = "x") -> dict[str, str]:
    (staging.headers / "include").mkdir(parents=True)
    (staging.headers / "include/a.h").write_text(text)
    staging.archive.write_text(text)
    return {"include/a.h": "f" * 64}


def add(cache: Cache, kernel: KernelIdentity = KERNEL, sha: str = SHA, **kw: bool) -> Bundle:
    with cache.stage() as staging:
        return cache.commit(staging, kernel, meta(sha), fill(staging), **kw)


def hidden(cache: Cache) -> list[str]:
    return [p.name for p in (cache.root / "kernels").glob(".*")]


def test_committed_is_found(cache: Cache) -> None:
    assert cache.lookup(KERNEL) is None
    bundle = add(cache)
    assert cache.lookup(KERNEL) == bundle
    assert cache.bundles() == [bundle]
    assert bundle.kernel == KERNEL
    assert bundle.parts == ["headers"]
    assert hidden(cache) == []
    assert bundle.path.stat().st_mode & 0o777 == 0o755


def test_staging_is_private_and_goes(cache: Cache) -> None:
    with pytest.raises(ZeroDivisionError), cache.stage() as staging:
        assert staging.path.stat().st_mode & 0o777 == 0o700
        fill(staging)
        assert cache.bundles() == []
        raise ZeroDivisionError
    assert hidden(cache) == []
    assert cache.bundles() == []


def test_what_a_killed_process_left_is_swept_after_a_day(cache: Cache) -> None:
    add(cache)
    old, new = (cache.root / "kernels" / f".staging-{n}" for n in ("old", "new"))
    old.mkdir()
    new.mkdir()
    os.utime(old, (1, 1))
    add(cache, sha="1" * 64)
    assert hidden(cache) == [".staging-new"]


@pytest.mark.parametrize(
    "other",
    [
        KernelIdentity("6.1.0-test", "#1 SMP", "aarch64", "cd" * 20),
        KernelIdentity("6.1.0-test", "#2 SMP", "aarch64", "ab" * 20),
        KernelIdentity("6.1.0-test", "#1 SMP", "aarch64", ""),
    ],
)
def test_another_kernel_is_not_found(cache: Cache, other: KernelIdentity) -> None:
    add(cache)
    assert cache.lookup(other) is None


def test_without_build_id_nothing_is_indexed(cache: Cache) -> None:
    anonymous = KernelIdentity("6.1.0-test", "#1 SMP", "aarch64", "")
    add(cache, anonymous)
    assert cache.lookup(anonymous) is None
    assert len(cache.bundles()) == 1


def test_two_kernels_with_one_archive_share_a_bundle(cache: Cache) -> None:
    other = KernelIdentity("6.1.0-test", "#1 SMP", "aarch64", "cd" * 20)
    assert add(cache) == add(cache, other)
    assert cache.lookup(other) == cache.lookup(KERNEL) != None  # noqa: E711


def test_the_same_archive_again_keeps_what_is_there_unless_replaced(cache: Cache) -> None:
    first = add(cache)
    inode = first.headers.stat().st_ino
    assert add(cache).headers.stat().st_ino == inode
    assert add(cache, replace=True).headers.stat().st_ino != inode
    assert len(cache.bundles()) == 1
    assert hidden(cache) == []


def test_the_same_archive_with_more_takes_the_place_of_less(cache: Cache) -> None:
    """As when headers that were imported without a config are pulled."""
    add(cache)
    with cache.stage() as staging:
        digests = fill(staging)
        (staging.path / "config").write_text("CONFIG_BPF=y\n")
        more = cache.commit(staging, KERNEL, meta(SHA), digests)
    assert more.parts == ["headers", "config"]
    assert add(cache).parts == ["headers", "config"]
    assert hidden(cache) == []


@pytest.mark.parametrize("replace", [False, True])
def test_another_archive_of_the_same_name_is_refused(cache: Cache, replace: bool) -> None:
    """The name has 48 bits of the digest, which somebody may meet on purpose."""
    first = add(cache)
    with pytest.raises(DroidheadersError, match="is of another archive"):
        add(cache, sha=SHA[:12] + "f" * 52, replace=replace)
    assert cache.lookup(KERNEL) == first
    assert hidden(cache) == []


def test_many_at_once(cache: Cache) -> None:
    found: list[Bundle] = []
    threads = [threading.Thread(target=lambda: found.append(add(cache))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 8
    assert {b.name for b in found} == {bundle_name(KERNEL, SHA)}
    assert hidden(cache) == []


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b'{"schema": 99}', b"\xff\xfe", b'{"bundle": 3}', b'{"bundle": "../x"}'],
)
def test_damaged_json_is_a_miss(cache: Cache, damage: bytes) -> None:
    bundle = add(cache)
    index = next((cache.root / "index").iterdir())
    kept = index.read_bytes()
    index.write_bytes(damage)
    assert cache.lookup(KERNEL) is None
    index.write_bytes(kept)
    (bundle.path / "bundle.json").write_bytes(damage)
    assert cache.lookup(KERNEL) is None
    assert cache.bundles() == []


@pytest.mark.parametrize(
    ("intact", "damaged"),
    [
        (b'"kernel":', b'"kernal":'),
        (b'"build_id":', b'"build-id":'),
        (b'"files": 1', b'"files": "1"'),
        (b'"warnings": []', b'"warnings": [1]'),
        (b'"symlinks": {}', b'"symlinks": {"a": 1}'),
    ],
)
def test_json_of_another_shape_is_a_miss(cache: Cache, intact: bytes, damaged: bytes) -> None:
    """One flipped bit in a key leaves JSON that parses, and must not break a list or a pull."""
    file = add(cache).path / "bundle.json"
    assert intact in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(intact, damaged))
    assert cache.lookup(KERNEL) is None
    assert cache.bundles() == []
    add(cache, replace=True)
    assert cache.lookup(KERNEL)


def test_a_link_is_no_bundle(cache: Cache, tmp_path: Path) -> None:
    path = add(cache).path
    elsewhere = path.rename(tmp_path / path.name)
    path.symlink_to(elsewhere)
    before = elsewhere.stat()
    assert cache.lookup(KERNEL) is None
    add(cache)
    assert cache.lookup(KERNEL)
    assert not path.is_symlink()
    assert elsewhere.stat() == before


@pytest.mark.parametrize(
    ("release", "escaped"),
    [
        ("6.1.0-50-cloud-arm64", "6.1.0-50-cloud-arm64"),
        ("../../etc", "%2E./..%2Fetc".replace("/", "%2F")),
        (".hidden", "%2Ehidden"),
        ("6.1/evil", "6.1%2Fevil"),
        ("6.1\x1b[2J", "6.1%1B%5B2J"),
        ("6.1%2F", "6.1%252F"),
        ("x" * 500, "x" * 100),
    ],
)
def test_a_release_becomes_one_plain_name(release: str, escaped: str) -> None:
    name = bundle_name(KernelIdentity(release, "#1", "aarch64", ""), SHA)
    assert name == f"{escaped}-aarch64-{SHA[:12]}"


def test_find_by_name_release_or_beginning(cache: Cache) -> None:
    first = add(cache)
    other = add(cache, KernelIdentity("6.1.0-test2", "#1", "aarch64", "cd" * 20), "9" * 64)
    assert cache.find(first.name) == first
    assert cache.find("6.1.0-test") == first
    assert cache.find("6.1.0-test2-") == other
    with pytest.raises(UsageError, match="several"):
        cache.find("6.1")
    with pytest.raises(UsageError, match="no bundle named"):
        cache.find("5.10")


def test_bundle_json_says_what_it_is(cache: Cache) -> None:
    said = json.loads((add(cache).path / "bundle.json").read_bytes())
    assert (said["schema"], said["name"]) == (1, bundle_name(KERNEL, SHA))
    assert said["kernel"]["build_id"] == "ab" * 20


def test_copy_is_whole_or_absent(cache: Cache, tmp_path: Path) -> None:
    bundle = add(cache)
    bundle.copy_headers(tmp_path / "copy")
    assert (tmp_path / "copy/include/a.h").read_text() == "x"
    with pytest.raises(UsageError, match="not an empty directory"):
        bundle.copy_headers(tmp_path / "copy")
    with pytest.raises(DroidheadersError, match="cannot write"):
        bundle.copy_headers(tmp_path / "copy/include/a.h/below")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "copy"]


def test_a_read_only_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file/cache")
    with (
        pytest.raises(DroidheadersError, match="cannot write to the cache") as caught,
        cache.stage(),
    ):
        pass
    assert "--cache-dir" in caught.value.hint


def test_a_damaged_bundle_makes_way(cache: Cache) -> None:
    bundle = add(cache)
    (bundle.path / "bundle.json").write_text("{")
    assert cache.lookup(KERNEL) is None
    assert add(cache) == bundle
    assert cache.lookup(KERNEL) == bundle


def test_a_bundle_pruned_while_it_is_made_is_made(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes second finds the first one's bundle, unless that goes at this very moment."""
    add(cache)
    load = Bundle.load

    def loaded(path: Path) -> Bundle | None:
        bundle = load(path)
        if bundle is not None:
            cache.remove(path)
        return bundle

    with cache.stage() as staging:
        digests = fill(staging)
        monkeypatch.setattr(Bundle, "load", loaded)
        bundle = cache.commit(staging, KERNEL, meta(SHA), digests)
    monkeypatch.undo()
    assert Bundle.load(bundle.path) == bundle


def test_a_hit_counts_as_use(cache: Cache) -> None:
    bundle = add(cache)
    os.utime(bundle.path, (1, 1))
    assert bundle.used() == 1
    cache.lookup(KERNEL)
    assert bundle.used() > 1


def test_one_transfers_while_the_others_wait(cache: Cache) -> None:
    together = threading.Barrier(4)
    inside: list[int] = []

    def work(number: int) -> None:
        together.wait()
        with cache.transferring(KERNEL):
            inside.append(number)
            assert len(inside) == 1
            inside.clear()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not inside


def test_who_waits_can_be_called_off(cache: Cache) -> None:
    cancel = threading.Event()
    done = threading.Event()

    def wait() -> None:
        with cache.transferring(KERNEL, cancel):
            done.set()

    with cache.transferring(KERNEL):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not done.wait(0.1)
        cancel.set()
        assert done.wait(5)
        thread.join()


def test_a_lock_that_cannot_be_had_is_done_without(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with cache.transferring(KERNEL):
        assert add(cache).kernel == KERNEL
