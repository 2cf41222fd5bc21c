"""Links that lead out or nowhere, entries behind links, and kinds that are no file."""

from __future__ import annotations

import os

import pytest

from tests.archives import GOOD, entry, gnu_long, header, link, padded, pax, with_good, xz
from tests.faults.reading import Reader, Tar

UP = b"../../../../around/"  # from where an archive is unpacked, to what must not change
L = b"include/l.h"
TWICE = "has two entries named"
SPARSE = "has a sparse file"

REFUSED = [
    pytest.param(
        with_good(link(b"include/x", UP), entry(b"include/x/file", b"bad")),
        "uses the symlink 'include/x' as a directory",
        id="file-under-a-link-that-climbs",
    ),
    pytest.param(
        lambda home: with_good(
            pax(linkpath=bytes(home / "around")) + link(b"x", b""), entry(b"x/file", b"bad")
        ),
        "uses the symlink 'x' as a directory",
        id="file-under-an-absolute-link",
    ),
    pytest.param(
        with_good(link(b"include/x", b"linux"), entry(b"include/x/a.h", b"a")),
        "uses the symlink 'include/x' as a directory",
        id="file-under-a-link-that-stays-inside",
    ),
    pytest.param(
        with_good(link(b"include/x", b"linux"), entry(b"include/x/y", kind=b"5")),
        "uses the symlink 'include/x' as a directory",
        id="directory-under-a-link",
    ),
    pytest.param(
        with_good(link(b"include/x", b"linux"), link(b"include/x/y", b"..")),
        "uses the symlink 'include/x' as a directory",
        id="link-under-a-link",
    ),
    pytest.param(
        with_good(link(L, UP + b"file"), entry(L, b"bad")), TWICE, id="link-replaced-by-file"
    ),
    pytest.param(
        with_good(entry(L, b"a"), link(L, UP + b"file")), TWICE, id="file-replaced-by-link"
    ),
    pytest.param(
        with_good(link(b"x", UP), entry(b"x", kind=b"5")), TWICE, id="link-replaced-by-directory"
    ),
    pytest.param(
        with_good(entry(b"x", kind=b"5"), link(b"x", UP)), TWICE, id="directory-replaced-by-link"
    ),
    pytest.param(with_good(link(L, b"a"), link(L, b"b")), TWICE, id="link-replaced-by-link"),
    pytest.param(
        with_good(entry(b"include", kind=b"2", target=UP)), TWICE, id="link-over-a-made-directory"
    ),
    pytest.param(
        with_good(entry(L, b"bad", b"2", target=b"linux/sched.h")),
        "has a symlink with content",
        id="symlink-with-content",
    ),
    pytest.param(
        with_good(entry(L, b"bad", b"1", target=b"include/linux/sched.h")),
        "has a hardlink with content",
        id="hardlink-with-content",
    ),
    pytest.param(
        with_good(entry(b"d", b"bad", b"5")), "has a directory with content", id="directory-content"
    ),
    pytest.param(
        with_good(entry(b"n", b"bad", b"3")),
        "has a character device with content",
        id="device-content",
    ),
    pytest.param(
        with_good(entry(b"n", b"bad", b"Z")),
        "has a type b'Z' with content",
        id="unknown-type-with-content",
    ),
    pytest.param(with_good(entry(L, b"abc", b"S")), SPARSE, id="sparse-of-gnu"),
    pytest.param(with_good(entry(L, b"", b"S")), SPARSE, id="sparse-of-gnu-with-nothing-in-it"),
    pytest.param(
        with_good(
            pax(GNU__sparse__major=b"1", GNU__sparse__minor=b"0", GNU__sparse__name=L)
            + entry(b"GNUSparseFile.0/l.h", padded(b"1\n0\n3\n") + b"abc")
        ),
        SPARSE,
        id="sparse-of-pax-1.0",
    ),
    pytest.param(
        with_good(
            pax(GNU__sparse__size=b"9", GNU__sparse__numblocks=b"1", GNU__sparse__map=b"0,3")
            + entry(L, b"abc")
        ),
        SPARSE,
        id="sparse-of-pax-0.1",
    ),
    pytest.param(
        with_good(pax(linkpath=b"./" * 2048 + b"linux/sched.h"), link(L, b"")),
        "has a link to a name of 4109 bytes",
        id="link-that-no-system-call-takes",
    ),
    pytest.param(
        with_good(*[link(b"include/l%d.h" % n, b"/build/a.h") for n in range(len(GOOD) + 1)]),
        "is unusable: 5 of its headers are links that lead nowhere here",
        id="more-links-than-files",
    ),
]


@pytest.mark.parametrize(("archive", "says"), REFUSED)
def test_refused(reader: Reader, archive: Tar, says: str) -> None:
    assert says in reader.refuse(xz(reader.made(archive)))


CHAIN = [link(b"include/c%d" % n, b"c%d" % (n + 1)) for n in range(9)]
ODD = [
    pytest.param(link(L, b"/etc/passwd"), {"absolute symlink": 1}, id="absolute"),
    pytest.param(
        lambda home: pax(linkpath=bytes(home / "around/file")) + link(L, b"x"),
        {"absolute symlink": 1},
        id="absolute-in-a-pax-header",
    ),
    pytest.param(
        lambda home: gnu_long(bytes(home / "around/file"), b"K") + link(L, b"x"),
        {"absolute symlink": 1},
        id="absolute-in-a-gnu-header",
    ),
    pytest.param(link(L, UP + b"file"), {"symlink out of the tree": 1}, id="climbing"),
    pytest.param(link(b"l", b".."), {"symlink out of the tree": 1}, id="climbing-by-one"),
    pytest.param(
        link(L, b"../../headers/include/linux/sched.h"),
        {"symlink out of the tree": 1},
        id="climbing-and-coming-back",
    ),
    pytest.param(
        link(L, b"linux/../../../x"), {"symlink out of the tree": 1}, id="climbing-behind-a-way-in"
    ),
    pytest.param(link(L, b"missing.h"), {"symlink to nowhere": 1}, id="nowhere"),
    pytest.param(link(L, b""), {"symlink to nowhere": 1}, id="empty"),
    pytest.param(link(L, b"linux/sched.h/a"), {"symlink to nowhere": 1}, id="through-a-file"),
    pytest.param(link(L, b"linux/sched.h/"), {"symlink to nowhere": 1}, id="slash-behind-a-file"),
    pytest.param(link(L, b"linux/sched.h/."), {"symlink to nowhere": 1}, id="dot-behind-a-file"),
    pytest.param(
        pax(linkpath=b"linux/sched.h\0/../../x") + link(L, b"x"),
        {"symlink to nowhere": 1},
        id="nul",
    ),
    pytest.param(link(L, b"linux/\xff.h"), {"symlink to nowhere": 1}, id="not-utf-8"),
    pytest.param(link(L, b"linux/\x1b[31m"), {"symlink to nowhere": 1}, id="escape-sequence"),
    pytest.param(link(L, b"l.h"), {"symlink in a circle": 1}, id="circle-of-one"),
    pytest.param(
        link(L, b"m.h") + link(b"include/m.h", b"l.h"),
        {"symlink in a circle": 2},
        id="circle-of-two",
    ),
    pytest.param(
        link(L, b"m.h") + link(b"include/m.h", b"/etc/passwd"),
        {"absolute symlink": 2},
        id="chain-that-ends-outside",
    ),
    pytest.param(
        b"".join(CHAIN) + entry(b"include/c9", b"end"),
        {"symlink in a circle": 1},
        id="chain-of-nine",
    ),
    pytest.param(
        link(b"include/d", b"linux") + link(L, b"d/sched.h"),
        {"symlink through a symlink": 1},
        id="through-a-link",
    ),
    pytest.param(
        link(b"include/d", b"linux") + link(L, b"d/../linux/sched.h"),
        {"symlink through a symlink": 1},
        id="up-through-a-link",
    ),
    pytest.param(link(L, b"include/linux/sched.h", b"1"), {"hardlink": 1}, id="hardlink-inside"),
    pytest.param(
        lambda home: pax(linkpath=bytes(home / "around/file")) + link(L, b"x", b"1"),
        {"hardlink": 1},
        id="hardlink-outside",
    ),
    pytest.param(link(L, UP + b"file", b"1"), {"hardlink": 1}, id="hardlink-climbing"),
    pytest.param(entry(b"dev", kind=b"3"), {"character device": 1}, id="character-device"),
    pytest.param(entry(b"dev", kind=b"4"), {"block device": 1}, id="block-device"),
    pytest.param(entry(b"pipe", kind=b"6"), {"fifo": 1}, id="fifo"),
    pytest.param(entry(b"odd", kind=b"Z"), {"type b'Z'": 1}, id="unknown-type"),
    pytest.param(entry(b"odd", kind=b"\x1b"), {"type b'\\x1b'": 1}, id="unprintable-type"),
]


@pytest.mark.parametrize(("odd", "rules"), ODD)
def test_left_out(reader: Reader, odd: Tar, rules: dict[str, int]) -> None:
    bundle = reader.accept(xz(with_good(reader.made(odd))))
    assert bundle.meta["headers"]["skipped"] == rules
    assert len(bundle.meta["warnings"]) == 1
    assert (
        f"left out {next(iter(rules.values()))} x {next(iter(rules))}"
        in (bundle.meta["warnings"][0])
    )
    assert not (bundle.headers / L.decode()).is_symlink()
    assert set(GOOD) <= {
        str(p.relative_to(bundle.headers)) for p in bundle.headers.rglob("*") if not p.is_symlink()
    }


LONG = b"include/" + b"d" * 120 + b"/"
KEPT = [
    pytest.param(link(L, b"linux/sched.h"), "linux/sched.h", id="to-a-file"),
    pytest.param(link(L, b"linux"), "linux", id="to-a-directory"),
    pytest.param(link(L, b"linux/"), "linux/", id="to-a-directory-with-slash"),
    pytest.param(link(L, b"./linux//sched.h"), "./linux//sched.h", id="with-empty-steps"),
    pytest.param(
        link(L, b"../include/linux/../linux/sched.h"),
        "../include/linux/../linux/sched.h",
        id="up-and-down-through-directories",
    ),
    pytest.param(link(L, b"later.h") + entry(b"include/later.h", b"x"), "later.h", id="to-later"),
    pytest.param(
        b"".join(CHAIN[1:]) + entry(b"include/c9", b"") + link(L, b"c2"), "c2", id="chain"
    ),
    pytest.param(
        pax(linkpath=LONG[8:] + b"a.h") + link(L, b"x") + pax(path=LONG + b"a.h") + entry(b"x"),
        (LONG[8:] + b"a.h").decode(),
        id="long-in-a-pax-header",
    ),
    pytest.param(
        gnu_long(LONG[8:] + b"a.h", b"K") + link(L, b"x") + gnu_long(LONG + b"a.h") + entry(b"x"),
        (LONG[8:] + b"a.h").decode(),
        id="long-in-a-gnu-header",
    ),
    pytest.param(
        gnu_long(b"linux/sched.h", b"K") + gnu_long(L) + link(b"x", b"x"),
        "linux/sched.h",
        id="long-both-ways",
    ),
]


@pytest.mark.parametrize(("entries", "target"), KEPT)
def test_kept(reader: Reader, entries: bytes, target: str) -> None:
    bundle = reader.accept(xz(with_good(entries)))
    assert os.readlink(bundle.headers / L.decode()) == target
    assert bundle.meta["symlinks"][L.decode()] == target
    assert (bundle.headers / L.decode()).exists()


def test_contiguous_is_a_file(reader: Reader) -> None:
    bundle = reader.accept(xz(with_good(entry(b"include/a.h", b"a", b"7"))))
    assert (bundle.headers / "include/a.h").read_bytes() == b"a"


def test_as_many_links_as_files_are_left_out(reader: Reader) -> None:
    links = [link(b"include/l%d.h" % n, b"/build/a.h") for n in range(len(GOOD))]
    bundle = reader.accept(xz(with_good(*links)))
    assert bundle.meta["headers"]["skipped"] == {"absolute symlink": len(GOOD)}


def test_names_of_what_is_left_out_are_names_too(reader: Reader) -> None:
    """Nothing is made of a hard link, and its name is refused all the same."""
    hostile = with_good(header(b"\x1b[31m", b"1", target=b"include/linux/sched.h"))
    assert "no plain path" in reader.refuse(xz(hostile))
