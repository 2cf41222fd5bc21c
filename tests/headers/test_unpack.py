"""What is written, what is left out, and that nothing is ever written elsewhere."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from droidheaders.headers.limits import ArchiveError, Limits
from droidheaders.headers.tar import BLOCK, members
from droidheaders.headers.unpack import Unpacked, _odd_path, _path, unpack
from tests.archives import GOOD, member, tar


def chunks(data: bytes, size: int = 10_000) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def run(data: bytes, root: Path, limits: Limits | None = None, size: int = 10_000) -> Unpacked:
    root.mkdir(parents=True)
    limits = limits or Limits()
    return unpack(members(chunks(data, size), limits), root, limits)


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_good_archive(tmp_path: Path, kind: int) -> None:
    long = "include/" + "x" * 90 + "/" + "y" * 90 + ".h"
    files = {**GOOD, long: b"long\n", "include/empty.h": b""}
    done = run(tar(files, kind=kind), tmp_path / "out")
    assert tree(tmp_path / "out") == files
    assert done.sha256 == {n: hashlib.sha256(d).hexdigest() for n, d in files.items()}
    assert done.bytes == sum(map(len, files.values()))
    assert not done.skipped


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1 << 20])
def test_chunk_boundaries_do_not_matter(tmp_path: Path, size: int) -> None:
    run(tar(), tmp_path / "out", size=size)
    assert tree(tmp_path / "out") == GOOD


def test_names_with_a_leading_dot_and_directory_entries(tmp_path: Path) -> None:
    extra = [(member("./", tarfile.DIRTYPE), b""), (member("./include", tarfile.DIRTYPE), b"")]
    done = run(tar({"./include/a.h": b"a"}, extra=extra), tmp_path / "out")
    assert tree(tmp_path / "out") == {"include/a.h": b"a"}
    assert done.directories == 1


def test_modes_are_ours(tmp_path: Path) -> None:
    info = member("include/a.h")
    info.mode, info.uid, info.mtime = 0o6777, 1234, 1
    run(tar({}, extra=[(info, b"a")]), tmp_path / "out")
    found = (tmp_path / "out/include/a.h").stat()
    assert stat.S_IMODE(found.st_mode) == 0o444 & ~_umask()
    assert found.st_uid == os.getuid()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../up.h",
        "include/../../up.h",
        "include/./a.h",
        "include//a.h",
        "..",
        "include/\x1b[31m.h",
        "include/new\nline.h",
        "a/" * 70 + "deep.h",
    ],
)
def test_hostile_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="name"):
        run(tar({name: b"x"}), tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert not tree(tmp_path / "out")


def test_names_that_are_not_text(tmp_path: Path) -> None:
    data = bytearray(tar({"include/abc.h": b"x"}))
    data[8] = 0xFF
    _fix_checksum(data)
    with pytest.raises(ArchiveError, match="not UTF-8"):
        run(bytes(data), tmp_path / "out")


def _fix_checksum(data: bytearray) -> None:
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:BLOCK])


def test_duplicates_and_a_file_used_as_a_directory(tmp_path: Path) -> None:
    twice = [(member("include/a.h"), b"1"), (member("./include/a.h"), b"2")]
    with pytest.raises(ArchiveError, match="two entries"):
        run(tar({}, extra=twice), tmp_path / "one")
    through = [(member("include"), b"1"), (member("include/a.h"), b"2")]
    with pytest.raises(ArchiveError, match="as a directory"):
        run(tar({}, extra=through), tmp_path / "two")
    over = [(member("include/a.h"), b"1"), (member("include", tarfile.REGTYPE), b"2")]
    with pytest.raises(ArchiveError, match="two entries"):
        run(tar({}, extra=over), tmp_path / "three")


def test_links_inside_are_kept_as_they_are(tmp_path: Path) -> None:
    links = {
        "include/dt-bindings/b.h": "a.h",
        "include/dt-bindings/c.h": "b.h",
        "include/up.h": "../include/dt-bindings/../dt-bindings/a.h",
        "include/dir": "dt-bindings",
    }
    done = run(tar({"include/dt-bindings/a.h": b"a"}, links=links), tmp_path / "out")
    assert done.symlinks == links
    assert (tmp_path / "out/include/dt-bindings/c.h").read_bytes() == b"a"
    assert os.readlink(tmp_path / "out/include/up.h") == links["include/up.h"]


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("/etc/passwd", "absolute symlink"),
        ("/build/kernel/include/linux/sched.h", "absolute symlink"),
        ("../../etc/passwd", "symlink out of the tree"),
        ("../../out/include/a.h", "symlink out of the tree"),
        ("missing.h", "symlink to nowhere"),
        ("a.h/b.h", "symlink to nowhere"),
        ("link.h", "symlink in a circle"),
        ("dir/../a.h", "symlink through a symlink"),
    ],
)
def test_links_that_lead_out_or_nowhere_are_left_out(
    tmp_path: Path, target: str, rule: str
) -> None:
    files = {"include/a.h": b"a", "include/sub/b.h": b"b"}
    links = {"include/dir": "sub", "include/link.h": target}
    done = run(tar(files, links=links), tmp_path / "out")
    assert done.skipped == {rule: 1}
    assert done.examples[rule] == f"include/link.h -> {target}"
    assert done.symlinks == {"include/dir": "sub"}
    assert tree(tmp_path / "out").keys() >= files.keys()


def test_writing_through_a_link_is_refused(tmp_path: Path) -> None:
    """The classic: a link to a directory elsewhere, then a file below it (CVE-2007-4559's kind)."""
    extra = [(member("include/x", tarfile.SYMTYPE, ".."), b""), (member("include/x/a.h"), b"bad")]
    with pytest.raises(ArchiveError, match="uses the symlink"):
        run(tar({}, extra=extra), tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (tarfile.LNKTYPE, "hardlink"),
        (tarfile.CHRTYPE, "character device"),
        (tarfile.BLKTYPE, "block device"),
        (tarfile.FIFOTYPE, "fifo"),
    ],
)
def test_other_kinds_are_left_out(tmp_path: Path, kind: bytes, rule: str) -> None:
    done = run(tar(extra=[(member("include/odd", kind, "include/a.h"), b"")]), tmp_path / "out")
    assert done.skipped == {rule: 1}
    assert tree(tmp_path / "out") == GOOD


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(entries=3), "more than 3 entries"),
        (Limits(file=40), "entry of"),
        (Limits(name=20), "name of"),
        (Limits(depth=2), "too deep"),
        (Limits(component=8), "too long"),
    ],
)
def test_limits(tmp_path: Path, limits: Limits, why: str) -> None:
    with pytest.raises(ArchiveError, match=why):
        run(tar(), tmp_path / "out", limits)


def test_end_of_the_tar(tmp_path: Path) -> None:
    whole = tar()
    content = whole.rstrip(b"\0")
    content += bytes(-len(content) % BLOCK)
    with pytest.raises(ArchiveError, match="ends in the middle"):
        run(content, tmp_path / "none")
    with pytest.raises(ArchiveError, match="ends in the middle"):
        run(content + bytes(BLOCK), tmp_path / "half")
    with pytest.raises(ArchiveError, match="only half"):
        run(content + bytes(BLOCK) + whole[:BLOCK], tmp_path / "mixed")
    with pytest.raises(ArchiveError, match="behind tar's end"):
        run(whole + tar(), tmp_path / "two")
    with pytest.raises(ArchiveError, match="ends in the middle"):
        run(whole[:BLOCK] + b"short", tmp_path / "cut")


def test_not_a_tar(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="not a tar archive"):
        run(b"#include <linux/sched.h>\n" * 100, tmp_path / "text")
    damaged = bytearray(tar())
    damaged[3] ^= 1
    with pytest.raises(ArchiveError, match="damaged tar header"):
        run(bytes(damaged), tmp_path / "damaged")


@pytest.mark.parametrize(
    "size", [b"+0000000007\0", b"0000000_007\0", b"99999999999\0", b"0x7\0        "]
)
def test_sizes_that_python_would_take_and_tar_would_not(tmp_path: Path, size: bytes) -> None:
    data = bytearray(tar({"include/a.h": b"x"}))
    data[124:136] = size
    _fix_checksum(data)
    with pytest.raises(ArchiveError, match="damaged tar header"):
        run(bytes(data), tmp_path / "out")


@pytest.mark.parametrize(
    "record",
    [b"7 path", b"999 path=x\n", b"0 path=x\n", b"x path=y\n", b"11 path=abc!", b"9 pathx\n"],
)
def test_malformed_pax_headers(tmp_path: Path, record: bytes) -> None:
    extra = [(member("pax", tarfile.XHDTYPE), record)]
    with pytest.raises(ArchiveError, match="malformed extended"):
        run(tar(extra=extra), tmp_path / "out")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    at=st.integers(0, len(tar()) - 1),
    with_byte=st.integers(0, 255),
    fix=st.booleans(),
)
def test_no_flipped_byte_escapes(tmp_path: Path, at: int, with_byte: int, fix: bool) -> None:
    """Whatever a byte of the archive becomes, files appear below the root only."""
    data = bytearray(tar(links={"include/l.h": "linux/sched.h"}))
    data[at] = with_byte
    if fix and at < BLOCK:
        _fix_checksum(data)
    home = tmp_path / os.urandom(8).hex()
    with contextlib.suppress(ArchiveError):
        run(bytes(data), home / "out")
    assert [p.name for p in home.iterdir()] == ["out"]
    for path in (home / "out").rglob("*"):
        assert path.resolve().is_relative_to(home / "out")


@settings(deadline=None)
@given(st.text("aZ9_+-./\\é\0 ", max_size=12).map(str.encode) | st.binary(max_size=12))
def test_plain_names_are_read_as_odd_ones_would_be(raw: bytes) -> None:
    limits = Limits(component=5, name=10, depth=3)

    def read(path: Callable[[bytes, Limits], str]) -> str:
        try:
            return path(raw, limits)
        except ArchiveError as e:
            return f"refused: {e}"

    assert read(_path) == read(_odd_path)
