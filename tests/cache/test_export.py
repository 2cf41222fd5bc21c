"""An export: one file, the same for the same bundle, whole or absent; and what is taken for one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from droidheaders.cache import Bundle, Cache
from droidheaders.cache.export import export, export_to, read_export
from droidheaders.cache.verify import repair
from droidheaders.errors import DroidheadersError, HeadersError, UsageError
from droidheaders.headers.limits import ArchiveError
from tests.archives import END, entry, link, pax
from tests.cache.making import kernel

KERNEL = {"release": "6.1/a", "version": "#1", "machine": "aarch64", "build_id": "ab" * 20}
META = {"schema": 1, "kernel": KERNEL, "page_size": 4096}
PARTS = {
    "bundle.json": json.dumps(META).encode(),
    "config": b"CONFIG_A=y\n",
    "archive.tar.xz": b"x",
}


def manifest(parts: dict[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in parts.items()]
    return "".join(lines).encode()


def packed(parts: dict[str, bytes], *more: bytes) -> bytes:
    parts = {"manifest": manifest(parts)} | parts
    first = ["bundle.json"] if "bundle.json" in parts else []
    names = first + [name for name in parts if name != "bundle.json"]
    return b"".join(entry(name.encode(), parts[name]) for name in names) + b"".join(more) + END


def stating(**meta: Any) -> bytes:
    return packed(PARTS | {"bundle.json": json.dumps(META | meta).encode()})


def of_kernel(**fields: Any) -> bytes:
    return stating(kernel={**KERNEL, **fields})


def test_what_goes_out_comes_in(bundle: Bundle, tmp_path: Path) -> None:
    size = export(bundle, tmp_path / "out.tar")
    data = (tmp_path / "out.tar").read_bytes()
    assert len(data) == size
    found = read_export(memoryview(data))
    assert found.kernel == bundle.kernel == kernel("6.1.176")
    assert found.archive == (bundle.path / "archive.tar.xz").read_bytes()
    assert found.parts == {p: (bundle.path / p).read_bytes() for p in ("config", "btf")}
    with tarfile.open(tmp_path / "out.tar") as tar:  # any tar reads it
        assert tar.getnames() == ["bundle.json", "config", "btf", "manifest", "archive.tar.xz"]
        assert {(m.mtime, m.uid, m.mode) for m in tar} == {(0, 0, 0o644)}
    assert {p.name for p in tmp_path.iterdir()} == {"cache", "out.tar"}


def test_the_same_bundle_makes_the_same_file(bundle: Bundle, tmp_path: Path) -> None:
    export(bundle, tmp_path / "a.tar")
    os.utime(bundle.path / "config", (1, 1))
    out = io.BytesIO()
    assert export_to(bundle, out) == len(out.getvalue())
    assert out.getvalue() == (tmp_path / "a.tar").read_bytes()


def test_a_file_like_any_other(bundle: Bundle, tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        export(bundle, tmp_path / "a.tar")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.tar").stat().st_mode) == 0o644
    assert (tmp_path / "a.tar").stat().st_nlink == 1


@pytest.mark.parametrize("make_it", [Path.touch, Path.mkdir, lambda p: p.symlink_to("nowhere")])
def test_nothing_is_overwritten(
    bundle: Bundle, tmp_path: Path, make_it: Callable[[Path], object]
) -> None:
    make_it(tmp_path / "out.tar")
    with pytest.raises(UsageError, match=r"out\.tar exists"):
        export(bundle, tmp_path / "out.tar")
    assert {p.name for p in tmp_path.iterdir()} == {"cache", "out.tar"}


def test_nothing_that_comes_meanwhile_is_overwritten(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.tar"
    monkeypatch.setattr("os.fsync", lambda _: out.write_text("mine"))
    with pytest.raises(UsageError, match=r"out\.tar exists"):
        export(bundle, out)
    assert out.read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {"cache", "out.tar"}


def test_a_disk_without_links(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    export(bundle, tmp_path / "out.tar")
    assert {p.name for p in tmp_path.iterdir()} == {"cache", "out.tar"}


def test_a_disk_that_is_full(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DroidheadersError, match="is full"):
        export(bundle, tmp_path / "out.tar")
    assert {p.name for p in tmp_path.iterdir()} == {"cache"}


def test_a_directory_that_is_not_there(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(DroidheadersError, match="none: No such file or directory"):
        export(bundle, tmp_path / "none/out.tar")


@pytest.mark.parametrize("name", ["headers/include/linux/sched.h", "config", "archive.tar.xz"])
def test_a_damaged_bundle_stays_here(bundle: Bundle, tmp_path: Path, name: str) -> None:
    (bundle.path / name).unlink()
    with pytest.raises(HeadersError, match=f"is damaged: {name} is gone") as raised:
        export(bundle, tmp_path / "out.tar")
    assert f"cache verify {bundle.name} --repair" in raised.value.hint
    assert not (tmp_path / "out.tar").exists()
    with pytest.raises(HeadersError):
        export_to(bundle, io.BytesIO())


def test_a_bundle_that_was_repaired(cache: Cache, bundle: Bundle, tmp_path: Path) -> None:
    (bundle.path / "config").write_text("spoilt")
    assert repair(cache, bundle.path)
    export(cache.find(bundle.name), tmp_path / "out.tar")
    assert read_export(memoryview((tmp_path / "out.tar").read_bytes())).parts.keys() == {"btf"}
    (bundle.path / "archive.tar.xz").unlink()
    assert repair(cache, bundle.path)  # the headers are sound, and the archive is gone for good
    with pytest.raises(HeadersError, match=r"archive\.tar\.xz is gone"):
        export(cache.find(bundle.name), tmp_path / "again.tar")


def test_what_is_read() -> None:
    found = read_export(memoryview(stating()))
    assert found.kernel.release == "6.1/a"
    assert found.parts == {"config": b"CONFIG_A=y\n"}
    assert found.archive.tobytes() == b"x"
    assert found.page_size == 4096


@pytest.mark.parametrize("page_size", [None, True, -1, 0, 1 << 40, "4096", 1.5, [], {}])
def test_a_page_size_that_is_none(page_size: object) -> None:
    assert read_export(memoryview(stating(page_size=page_size))).page_size == 0


DEEP = b'{"schema": 1, "kernel": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
WITHOUT = {name: {n: d for n, d in PARTS.items() if n != name} for name in PARTS}
HOSTILE: dict[str, tuple[bytes, str]] = {
    "a name that climbs": (packed(PARTS, entry(b"../x", b"x")), r"has a file named '\.\./x'"),
    "an absolute name": (packed(PARTS, entry(b"/etc/x", b"x")), "has a file named '/etc/x'"),
    "another file": (packed(PARTS, entry(b"headers/a.h", b"x")), "has a file named 'headers/a.h'"),
    "an escape sequence": (packed(PARTS, entry(b"\x1b[2J", b"x")), r"has a file named '.*x1b"),
    "a link": (packed(WITHOUT["config"], link(b"config", b"/etc/passwd")), "has a symlink named"),
    "a hard link": (packed(PARTS, link(b"btf", b"config", b"1")), "has a hardlink named 'btf'"),
    "a directory": (packed(PARTS, entry(b"btf", kind=b"5")), "has a directory named 'btf'"),
    "a file twice": (packed(PARTS, entry(b"config", b"x")), "has two files named 'config'"),
    "a longer name": (
        packed(WITHOUT["config"], pax(path=b"../y") + entry(b"btf", b"x")),
        r"named '\.\./y'",
    ),
    "many files": (packed(PARTS, *[entry(b"btf", b"x")] * 9), "has more than 5 entries"),
    "no archive": (packed(WITHOUT["archive.tar.xz"]), r"is an export without archive\.tar\.xz"),
    "no bundle.json": (packed(WITHOUT["bundle.json"]), r"is an export without bundle\.json"),
    "no manifest": (
        b"".join(entry(n.encode(), d) for n, d in PARTS.items()) + END,
        "is an export without manifest",
    ),
    "a wrong digest": (
        packed(PARTS).replace(b"CONFIG_A=y", b"CONFIG_A=m"),
        "is a damaged export: config is not what its manifest says",
    ),
    "a wrong archive": (
        packed(PARTS | {"manifest": manifest(PARTS | {"archive.tar.xz": b"y"})}),
        r"is a damaged export: archive\.tar\.xz is not",
    ),
    "a manifest of noise": (packed(PARTS | {"manifest": b"\xff\xfe"}), "with a damaged manifest"),
    "an empty manifest": (packed(PARTS | {"manifest": b""}), "with a damaged manifest"),
    "no JSON": (packed(PARTS | {"bundle.json": b"{"}), r"bundle\.json cannot be read"),
    "deep JSON": (packed(PARTS | {"bundle.json": DEEP}), r"bundle\.json cannot be read"),
    "huge JSON": (packed(PARTS | {"bundle.json": b" " * (9 << 20) + b"{}"}), "cannot be read"),
    "a huge number": (
        packed(PARTS | {"bundle.json": b'{"schema": ' + b"1" * 9999 + b"}"}),
        "cannot be read",
    ),
    "a list": (packed(PARTS | {"bundle.json": b"[1]"}), "cannot be read by this version"),
    "another schema": (stating(schema=2), "cannot be read by this version"),
    "no kernel": (stating(kernel=None), "states no release of a kernel"),
    "a kernel that is a list": (stating(kernel=["6.1"]), "states no release of a kernel"),
    "a release that is a number": (of_kernel(release=6.1), "states no release"),
    "a release of two lines": (of_kernel(release="6.1\n"), "states no release"),
    "a long release": (of_kernel(release="6" * 65), "states no release"),
    "an escape in the version": (of_kernel(version="#1\x1b[2J"), "states no version"),
    "a machine with a slash": (of_kernel(machine="../x"), "states no machine"),
    "a build-id that is none": (of_kernel(build_id="xy" * 20), "states no build_id"),
    "a build-id of a line more": (of_kernel(build_id="ab" * 20 + "\n"), "states no build_id"),
    "cut off": (packed(PARTS)[:2000], "ends in the middle of a tar entry"),
    "without its end": (packed(PARTS)[:-1024], "ends in the middle of a tar entry"),
    "something behind it": (packed(PARTS) + b"x", "has data behind tar's end marker"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_exports(what: str) -> None:
    data, says = HOSTILE[what]
    with pytest.raises(ArchiveError, match=says) as raised:
        read_export(memoryview(data))
    assert str(raised.value).isprintable()


VALUES = st.sampled_from([None, True, 1, 1.5, [], {}, ["x"], {"a": 1}, ""]) | st.text(max_size=70)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*KERNEL, "x"]), VALUES))
def test_any_kernel_is_one_or_refused(fields: dict[str, Any]) -> None:
    try:
        found = read_export(memoryview(of_kernel(**fields)))
    except ArchiveError:
        return
    for text in (found.kernel.release, found.kernel.version, found.kernel.machine):
        assert text.isprintable()
        assert len(text) <= 64
