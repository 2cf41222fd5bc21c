"""Equal files are shared, and only those that are what their manifest vouches for."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from droidheaders.cache import Bundle, Cache
from droidheaders.cache.neighbours import Neighbours
from droidheaders.kernel import KernelIdentity
from tests.cache.making import meta

KERNEL = KernelIdentity("6.1.176", "#1", "aarch64", "ab" * 20)


def add(cache: Cache, files: dict[str, bytes], kernel: KernelIdentity = KERNEL) -> Bundle:
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    with cache.stage() as staging:
        for name, data in files.items():
            path = staging.headers / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        staging.archive.write_bytes(repr(files).encode())
        sha = hashlib.sha256(staging.archive.read_bytes()).hexdigest()
        return cache.commit(staging, kernel, meta(sha), digests)


def share(bundle: Bundle, data: bytes, path: Path, name: str = "include/a.h") -> str:
    return Neighbours([bundle]).share(name, memoryview(data), str(path))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return add(Cache(tmp_path / "cache"), {"include/a.h": b"same", "include/empty.h": b""})


@pytest.mark.parametrize(("name", "data"), [("include/a.h", b"same"), ("include/empty.h", b"")])
def test_an_equal_file_is_linked(bundle: Bundle, tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / "new"
    assert share(bundle, data, path, name) == hashlib.sha256(data).hexdigest()
    assert path.samefile(bundle.headers / name)


@pytest.mark.parametrize("data", [b"", b"sama", b"same and more", b"sam"])
def test_another_content_is_not(bundle: Bundle, tmp_path: Path, data: bytes) -> None:
    assert share(bundle, data, tmp_path / "new") == ""
    assert not (tmp_path / "new").exists()


def test_a_file_changed_since_is_not_even_when_it_is_equal_now(
    bundle: Bundle, tmp_path: Path
) -> None:
    header = bundle.headers / "include/a.h"
    later = (bundle.path / "manifest").stat().st_mtime_ns + 1
    header.write_bytes(b"else")
    os.utime(header, ns=(later, later))
    assert share(bundle, b"else", tmp_path / "new") == ""


@pytest.mark.parametrize("rot", ["gone", "link", "directory", "fifo", "rotten"])
def test_what_is_no_longer_that_file_is_not(bundle: Bundle, tmp_path: Path, rot: str) -> None:
    header = bundle.headers / "include/a.h"
    times = header.stat().st_mtime_ns
    header.unlink()
    other = tmp_path / "other"
    other.write_bytes(b"same")
    if rot == "link":
        header.symlink_to(other)
    elif rot == "directory":
        header.mkdir()
    elif rot == "fifo":
        os.mkfifo(header)
    elif rot == "rotten":
        header.write_bytes(b"sane")
        os.utime(header, ns=(times, times))
    assert share(bundle, b"same", tmp_path / "new") == ""
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("manifest", [b"", b"\xff\xfe", b"no digest  headers/include/a.h\n", b"x"])
def test_a_damaged_manifest_vouches_for_nothing(
    bundle: Bundle, tmp_path: Path, manifest: bytes
) -> None:
    (bundle.path / "manifest").write_bytes(manifest)
    assert share(bundle, b"same", tmp_path / "new") == ""


def test_a_disk_without_links_gets_a_copy(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert share(bundle, b"same", tmp_path / "new") == ""


def test_the_nearest_release_is_asked_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    near = add(cache, {"include/a.h": b"near"}, KernelIdentity("6.1.170", "#1", "aarch64", "1"))
    other = add(cache, {"include/a.h": b"other"}, KernelIdentity("6.1.170", "#1", "x86_64", "2"))
    add(cache, {"include/a.h": b"far"}, KernelIdentity("5.10.1", "#1", "aarch64", "3"))
    neighbours = cache.neighbours(KERNEL)
    for data, bundle in ((b"near", near), (b"other", other)):
        path = tmp_path / data.decode()
        assert neighbours.share("include/a.h", memoryview(data), str(path))
        assert path.samefile(bundle.headers / "include/a.h")
    assert not neighbours.share("include/a.h", memoryview(b"far"), str(tmp_path / "far"))
