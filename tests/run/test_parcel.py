"""Headers as they are packed for a device, and the mark that they leave there."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.cache import Bundle, Cache
from droidheaders.errors import HeadersError
from droidheaders.run.parcel import Mark, Parcel
from tests.cache.making import make


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make(Cache(tmp_path / "cache"))


def packed(bundle: Bundle) -> tarfile.TarFile:
    out = io.BytesIO()
    Parcel.of(bundle).pack(out)
    out.seek(0)
    return tarfile.open(fileobj=out, mode="r:gz")


def content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def test_what_is_in_it(bundle: Bundle) -> None:
    with packed(bundle) as tar:
        names = tar.getnames()
        assert content(tar, ".droidheaders/files").decode().split() == [
            name for name in names if not name.startswith(".droidheaders")
        ] + [f".droidheaders/{name}" for name in ("bundle.json", "files", "sums")]
        sums = content(tar, ".droidheaders/sums")
        for line in sums.decode().splitlines():
            digest, name = line.split("  ")
            assert hashlib.sha256(content(tar, name)).hexdigest() == digest
        assert tar.getmember("include/linux/task.h").linkname == "sched.h"
        assert {member.mode for member in tar if member.isfile()} == {0o644}
        mark = Mark.from_json(content(tar, ".droidheaders/bundle.json"))
    assert mark == Parcel.of(bundle).mark
    assert mark is not None
    assert mark.sums == hashlib.sha256(sums).hexdigest()
    assert Parcel.of(bundle).files == len(names)
    assert Parcel.of(bundle).needs > 4096 * len(names)


def test_the_same_bytes_for_the_same_bundle(bundle: Bundle) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    Parcel.of(bundle).pack(first)
    Parcel.of(bundle).pack(second)
    assert first.getvalue() == second.getvalue()


@pytest.mark.parametrize("harm", ["changed", "gone", "manifest"])
def test_damaged_headers_are_not_packed(bundle: Bundle, harm: str) -> None:
    victim = bundle.path / ("manifest" if harm == "manifest" else "headers/include/linux/sched.h")
    victim.chmod(0o644)
    if harm == "gone":
        victim.unlink()
    else:
        victim.write_text("struct another;\n")
    with pytest.raises(HeadersError, match="not what was pulled"):
        Parcel.of(bundle).pack(io.BytesIO())


@given(st.binary(max_size=300))
def test_any_bytes_are_a_mark_or_none(data: bytes) -> None:
    assert Mark.from_json(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 4000,
        b"[]",
        b"{}",
        b'{"schema": 1}',
        b'{"schema": 1, "bundle": 1, "archive": "", "sums": ""}',
        b'{"schema": 1, "bundle": "x", "archive": "$(reboot)", "sums": ""}',
        b'{"schema": 2, "bundle": "x", "archive": "%s", "sums": "%s"}' % (b"a" * 64, b"a" * 64),
    ],
)
def test_what_is_no_mark(data: bytes) -> None:
    assert Mark.from_json(data) is None
