"""Names that would lead an unpacker out of its directory, or two headers into one file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.archives import GOOD, entry, header, link, pax, with_good, xz
from tests.faults.reading import Reader, Tar

NO_PATH = "has a name that is no plain path"
LIMITS = "too deep or too long"
TWICE = "has two entries named"
UP = b"../../../../around/"  # from where an archive is unpacked, to what must not change
A = b"include/a.h"


def file(name: bytes, data: bytes = b"bad") -> bytes:
    """Return an archive with this file in it."""
    return with_good(entry(name, data))


def named(name: bytes) -> bytes:
    """Return an archive with a file of this name, which may be longer than a header holds."""
    return with_good(pax(path=name), entry(b"short", b"bad"))


def directory(name: bytes) -> bytes:
    return with_good(entry(name, kind=b"5"))


REFUSED = [
    pytest.param(lambda home: named(bytes(home / "around/file")), "absolute", id="absolute"),
    pytest.param(lambda home: directory(bytes(home / "around/new")), "absolute", id="absolute-dir"),
    pytest.param(
        with_good(entry(b"passwd", b"bad", prefix=b"/etc")), "absolute", id="absolute-prefix"
    ),
    pytest.param(directory(b"/"), "absolute", id="the-root"),
    pytest.param(file(b".//etc/passwd"), NO_PATH, id="absolute-behind-a-dot"),
    pytest.param(file(b"../up.h"), NO_PATH, id="dotdot-first"),
    pytest.param(file(UP + b"file"), NO_PATH, id="dotdot-to-the-sentinel"),
    pytest.param(directory(UP + b"inner"), NO_PATH, id="dotdot-to-a-directory"),
    pytest.param(file(b"./" + UP + b"file"), NO_PATH, id="dotdot-behind-a-dot"),
    pytest.param(file(b"include/../" + UP + b"file"), NO_PATH, id="dotdot-in-the-middle"),
    pytest.param(file(b"include/../include/b.h"), NO_PATH, id="dotdot-that-stays-inside"),
    pytest.param(file(b"include/.."), NO_PATH, id="dotdot-last"),
    pytest.param(directory(b"include/../"), NO_PATH, id="dotdot-last-with-slash"),
    pytest.param(directory(b".."), NO_PATH, id="dotdot-alone"),
    pytest.param(
        with_good(entry(b"file", b"bad", prefix=UP[:-1])), NO_PATH, id="dotdot-in-the-prefix"
    ),
    pytest.param(named(UP + b"file"), NO_PATH, id="dotdot-in-a-pax-path"),
    pytest.param(
        with_good(link(UP + b"link", b"file")), NO_PATH, id="dotdot-in-the-name-of-a-link"
    ),
    pytest.param(
        with_good(entry(UP + b"node", kind=b"3")), NO_PATH, id="dotdot-in-the-name-of-a-device"
    ),
    pytest.param(file(b"include/./a.h"), NO_PATH, id="dot-in-the-middle"),
    pytest.param(file(b"././a.h"), NO_PATH, id="two-dots-first"),
    pytest.param(file(b"include//a.h"), NO_PATH, id="empty-component"),
    pytest.param(file(b""), NO_PATH, id="empty-name"),
    pytest.param(directory(b""), NO_PATH, id="empty-name-of-a-directory"),
    pytest.param(file(b"."), TWICE, id="the-directory-itself"),
    pytest.param(named(b"include/a.h\0/../../x"), NO_PATH, id="nul"),
    pytest.param(file(b"include/\xff.h"), "not UTF-8", id="not-utf-8"),
    pytest.param(file(b"include/\xc0\xae\xc0\xae/a.h"), "not UTF-8", id="overlong-utf-8"),
    pytest.param(file(b"include/\xed\xb3\xbf.h"), "not UTF-8", id="surrogate"),
    pytest.param(named(b"include/" + b"c" * 256), LIMITS, id="component-of-256-bytes"),
    pytest.param(
        named(b"include/" + "é".encode() * 128), LIMITS, id="component-of-256-bytes-in-utf-8"
    ),
    pytest.param(named(b"include/" + b"d/" * 508 + b"e"), "name of 1025 bytes", id="long-name"),
    pytest.param(named(b"d/" * 64 + b"e"), LIMITS, id="too-deep"),
    pytest.param(with_good(entry(A, b"1"), entry(A, b"2")), TWICE, id="duplicate"),
    pytest.param(
        with_good(entry(A, b"1"), entry(b"./" + A, b"2")), TWICE, id="duplicate-behind-a-dot"
    ),
    pytest.param(
        with_good(entry(A, b"1"), entry(b"include", b"2")), TWICE, id="file-over-directory"
    ),
    pytest.param(with_good(entry(A, b"1"), entry(A, kind=b"5")), TWICE, id="directory-over-file"),
    pytest.param(
        with_good(entry(A, b"1"), entry(A + b"/b.h", b"2")),
        "uses the file 'include/a.h' as a directory",
        id="file-used-as-directory",
    ),
    pytest.param(file(b"include/a.h/"), "ends in a slash", id="slash-behind-a-file"),
    pytest.param(
        with_good(entry(b"include/a/", b"bad", b"\0")),
        "has a directory with content",
        id="slash-behind-a-file-before-ustar",
    ),
    pytest.param(
        with_good(link(b"include/a/", b"linux")), "ends in a slash", id="slash-behind-a-link"
    ),
    pytest.param(file(b"include\\linux\\a.h"), NO_PATH, id="backslash"),
    pytest.param(file(b"..\\..\\around\\file"), NO_PATH, id="dotdot-with-backslash"),
    pytest.param(file(b"include/new\nline.h"), NO_PATH, id="newline"),
    pytest.param(file(b"include/\x1b]0;title\x07.h"), NO_PATH, id="escape-sequence"),
    pytest.param(file(b"include/\x7f.h"), NO_PATH, id="delete"),
    pytest.param(file("include/\x9b31m.h".encode()), NO_PATH, id="c1-control"),
    pytest.param(file("include/\u202eh.a".encode()), NO_PATH, id="right-to-left-override"),
    pytest.param(file("include/\u2028.h".encode()), NO_PATH, id="line-separator"),
]

ODD = [
    b"bundle.json",
    b"manifest",
    b"archive.tar.xz",
    b"headers/include/a.h",
    b".staging-0123456789abcdef/a.h",
    b"include/con",
    b"include/aux.h",
    b"include/NUL",
    b"include/-rf",
    b"include/two words .h",
    b"include/ leading.h",
    b"include/$(reboot);`id`'\".h",
    b"include/%n%s.h",
    b"include/..a.h",
    b"include/...",
    b"include/a.h~",
    "include/größe.h".encode(),
    b"include/" + b"c" * 255,
    b"include/c" + "é".encode() * 127,
    b"d/" * 63 + b"e",
    b"include/" + b"/".join([b"c" * 253] * 4),
]


@pytest.mark.parametrize(("archive", "says"), REFUSED)
def test_refused(reader: Reader, archive: Tar, says: str) -> None:
    assert says in reader.refuse(xz(reader.made(archive)))


@pytest.mark.parametrize("name", [pytest.param(n, id=ascii(n.decode()[:40])) for n in ODD])
def test_odd_but_harmless(reader: Reader, name: bytes) -> None:
    bundle = reader.accept(xz(named(name)))
    assert (bundle.headers / name.decode()).read_bytes() == b"bad"


def test_all_that_is_odd_at_once(reader: Reader) -> None:
    entries = [pax(path=name) + entry(b"x", name) for name in ODD]
    bundle = reader.accept(xz(with_good(*entries)))
    assert bundle.meta["headers"]["files"] == len(GOOD) + len(ODD)


def test_a_leading_dot_and_directories_of_their_own(reader: Reader) -> None:
    entries = [
        entry(b"./", kind=b"5"),
        entry(b".", kind=b"5"),
        entry(b"./include/", kind=b"5"),
        entry(b"include", kind=b"5"),
        entry(b"./include/old/", kind=b"\0"),
        entry(b"./include/a.h", b"a"),
    ]
    bundle = reader.accept(xz(with_good(*entries)))
    assert (bundle.headers / "include/a.h").read_bytes() == b"a"
    assert (bundle.headers / "include/old").is_dir()


@contextmanager
def ignoring_case(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have exclusive creation look names up as a disk that ignores case does.

    Simulated: a real one asks for root, and for a kernel that has one.
    """
    real_open, real_mkdir = os.open, os.mkdir

    def check(path: str) -> None:
        parent, name = os.path.split(os.fspath(path))
        if name.casefold() in {there.casefold() for there in os.listdir(parent or ".")}:
            raise FileExistsError(errno.EEXIST, "File exists", path)

    def guarded_open(path: str, flags: int, mode: int = 0o777, **named: int) -> int:
        if flags & os.O_EXCL:
            check(path)
        return real_open(path, flags, mode, **named)

    def guarded_mkdir(path: str, mode: int = 0o777, **named: int) -> None:
        check(path)
        real_mkdir(path, mode, **named)

    with monkeypatch.context() as disk:
        disk.setattr(os, "open", guarded_open)
        disk.setattr(os, "mkdir", guarded_mkdir)
        yield


CASES = [
    pytest.param(b"include/xt_MARK.h", b"include/xt_mark.h", "include/xt_mark.h", id="file"),
    pytest.param(b"include/a.h", b"include/Linux/b.h", "include/Linux", id="directory"),
]


@pytest.mark.parametrize(("one", "other", "lost"), CASES)
def test_a_disk_that_ignores_case(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, one: bytes, other: bytes, lost: str
) -> None:
    archive = xz(with_good(entry(one, b"1"), entry(other, b"2")))
    error = reader.refuse(archive, status=1, during=ignoring_case(monkeypatch))
    assert f"ignores case, and would lose '{lost}'" in error


@pytest.mark.parametrize(("one", "other", "lost"), CASES)
def test_a_disk_that_tells_case_apart(reader: Reader, one: bytes, other: bytes, lost: str) -> None:
    bundle = reader.accept(xz(with_good(entry(one, b"1"), entry(other, b"2"))))
    assert [(bundle.headers / name.decode()).read_bytes() for name in (one, other)] == [b"1", b"2"]


def test_the_table_bites() -> None:
    """The names are in the archives as they stand in the table, not made tame by the builder."""
    assert b"../../../../around/file" in file(UP + b"file")
    assert header(b"a//b")[:5] == b"a//b\0"
