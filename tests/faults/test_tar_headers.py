"""Tar headers that lie, contradict each other, or are read in one way here and another there."""

from __future__ import annotations

import io
import tarfile

import pytest

from tests.archives import (
    BLOCK,
    END,
    GOOD,
    entry,
    gnu_long,
    header,
    pax,
    record,
    tar,
    with_good,
    xz,
)
from tests.faults.reading import Reader

DAMAGED = "has a damaged tar header, or is not a tar archive"
MALFORMED = "has a malformed extended header"
CUT = "ends in the middle of a tar entry"
TWO = "has an entry with two extended headers"
GLOBAL = "has a global header that names or measures entries"
A = b"include/a.h"
WHOLE = with_good()


def damaged(at: int) -> bytes:
    """Return a good archive with one bit of its first header wrong."""
    return WHOLE[:at] + bytes([WHOLE[at] ^ 1]) + WHOLE[at + 1 :]


def sized(field: bytes) -> bytes:
    """Return an archive with a file of one byte, its size written like this."""
    return with_good(header(A, size=field) + b"x".ljust(BLOCK, b"\0"))


def with_signed_sum() -> bytes:
    """Return an archive whose last header is summed as signed bytes, as an old Sun's tar did."""
    block = header(A, user=b"\xe9\xe8\xe7")
    total = int(block[148:154], 8) - 3 * 256
    return with_good(block[:148] + b"%06o\0 " % total + block[156:])


def with_records(data: bytes) -> bytes:
    """Return an archive with a pax header of exactly this content."""
    return with_good(entry(b"pax", data, b"x"), entry(A, b"a"))


REFUSED = [
    pytest.param(b"#include <linux/sched.h>\n" * 100, DAMAGED, id="not-a-tar"),
    pytest.param(damaged(3), DAMAGED, id="checksum-of-a-damaged-name"),
    pytest.param(damaged(130), DAMAGED, id="checksum-of-a-damaged-size"),
    pytest.param(damaged(150), DAMAGED, id="damaged-checksum"),
    pytest.param(with_signed_sum(), DAMAGED, id="signed-checksum"),
    pytest.param(with_good(header(A)[:148] + b" " * 8 + header(A)[156:]), DAMAGED, id="no-sum"),
    pytest.param(sized(b"\xff" * 12), "has an entry of", id="size-negative"),
    pytest.param(sized(b"\xff" * 11 + b"\0"), "has an entry of", id="size-minus-256"),
    pytest.param(sized(b"\x80" + b"\xff" * 11), "has an entry of", id="size-of-88-bits"),
    pytest.param(sized(b"\x80" + bytes(6) + b"\x01" + bytes(4)), "of 4294967296", id="size-4-GiB"),
    pytest.param(sized(b"77777777777\0"), "has an entry of 8589934591", id="size-8-GiB"),
    pytest.param(sized(b"+0000000001\0"), DAMAGED, id="size-with-a-sign"),
    pytest.param(sized(b"-0000000001\0"), DAMAGED, id="size-with-a-minus"),
    pytest.param(sized(b"0000000_001\0"), DAMAGED, id="size-with-an-underscore"),
    pytest.param(sized(b"00000000008\0"), DAMAGED, id="size-with-an-8"),
    pytest.param(sized(b"0x1\0        "), DAMAGED, id="size-in-hex"),
    pytest.param(sized(b"\x000000000001\0"), DAMAGED, id="size-behind-a-nul"),
    pytest.param(sized(b"1 1        \0"), DAMAGED, id="size-of-two-numbers"),
    pytest.param(sized(b" " * 12), DAMAGED, id="size-blank"),
    pytest.param(sized(bytes(12)), DAMAGED, id="size-of-nuls"),
    pytest.param(
        with_good(pax(size=b"3") + entry(A, b"abc" * 300)), DAMAGED, id="pax-size-too-small"
    ),
    pytest.param(with_good(pax(size=b"9" * 30) + entry(A)), MALFORMED, id="pax-size-of-30-digits"),
    pytest.param(with_good(pax(size=b"9" * 15) + entry(A)), "has an entry of", id="pax-size-huge"),
    pytest.param(with_good(pax(size=b"-1") + entry(A)), MALFORMED, id="pax-size-negative"),
    pytest.param(with_good(pax(size=b"0x1") + entry(A)), MALFORMED, id="pax-size-in-hex"),
    pytest.param(with_good(pax(size=b"") + entry(A)), MALFORMED, id="pax-size-empty"),
    pytest.param(with_good(pax(path=b"") + entry(A)), MALFORMED, id="pax-path-empty"),
    pytest.param(
        with_good(pax(path=b"../../../../around/file") + entry(A)),
        "no plain path",
        id="pax-path-hostile-behind-a-good-name",
    ),
    pytest.param(with_records(b"14 path=a.h XX"), MALFORMED, id="pax-without-newline"),
    pytest.param(with_records(b"7 path"), MALFORMED, id="pax-without-value"),
    pytest.param(with_records(b"9 pathx\n"), MALFORMED, id="pax-without-equals"),
    pytest.param(with_records(b"999 path=x\n"), MALFORMED, id="pax-longer-than-its-header"),
    pytest.param(with_records(b"12 path=x\n"), MALFORMED, id="pax-one-longer"),
    pytest.param(with_records(b"8 path=x\n"), MALFORMED, id="pax-one-shorter"),
    pytest.param(with_records(b"0 path=x\n"), MALFORMED, id="pax-of-no-length"),
    pytest.param(with_records(b"2 path=x\n"), MALFORMED, id="pax-that-ends-in-its-length"),
    pytest.param(with_records(b"-11 path=x\n"), MALFORMED, id="pax-of-negative-length"),
    pytest.param(with_records(b"x path=y\n"), MALFORMED, id="pax-length-no-number"),
    pytest.param(with_records(b"11path=xyz\n"), MALFORMED, id="pax-length-without-space"),
    pytest.param(with_records(b"9" * 40 + b" path=x\n"), MALFORMED, id="pax-length-of-40-digits"),
    pytest.param(
        with_records(record(b"path", A) + b"junk"), MALFORMED, id="pax-with-junk-behind-a-record"
    ),
    pytest.param(with_good(pax(path=A)), "with no entry behind it", id="pax-without-an-entry"),
    pytest.param(with_good(entry(b"pax", kind=b"x")), "with no entry", id="pax-empty-at-the-end"),
    pytest.param(with_good(gnu_long(A)), "with no entry behind it", id="gnu-without-an-entry"),
    pytest.param(with_good(pax(path=A), pax(path=b"b"), entry(b"c")), TWO, id="pax-twice"),
    pytest.param(with_good(pax(mtime=b"1"), pax(path=b"b"), entry(b"c")), TWO, id="pax-in-parts"),
    pytest.param(with_good(gnu_long(A), gnu_long(b"b"), entry(b"c")), TWO, id="gnu-twice"),
    pytest.param(with_good(gnu_long(A), pax(path=b"b"), entry(b"c")), TWO, id="gnu-then-pax"),
    pytest.param(with_good(pax(path=b"b"), gnu_long(A), entry(b"c")), TWO, id="pax-then-gnu"),
    pytest.param(
        with_good(gnu_long(b"x" * 70_000), entry(A)), "oversized extended", id="gnu-name-of-70-KB"
    ),
    pytest.param(
        with_good(pax(comment=b"x" * 70_000), entry(A)), "oversized extended", id="pax-of-70-KB"
    ),
    pytest.param(
        with_good(header(b"pax", b"x", size=b"\xff" * 12)), "oversized", id="pax-of-negative-size"
    ),
    pytest.param(with_good(gnu_long(b"x" * 2000), entry(A)), "name of 2000", id="gnu-name-long"),
    pytest.param(with_good(gnu_long(b""), entry(A)), MALFORMED, id="gnu-name-empty"),
    pytest.param(with_good(gnu_long(b"a\0b"), entry(A)), "no plain path", id="gnu-name-with-nul"),
    pytest.param(with_good(pax(b"g", path=b"b"), entry(A)), GLOBAL, id="global-path"),
    pytest.param(with_good(pax(b"g", linkpath=b"/b"), entry(A)), GLOBAL, id="global-linkpath"),
    pytest.param(with_good(pax(b"g", size=b"1"), entry(A)), GLOBAL, id="global-size"),
    pytest.param(with_good(pax(b"g", GNU__sparse__major=b"1")), GLOBAL, id="global-sparse"),
    pytest.param(with_good(entry(b"g", b"junk", b"g")), MALFORMED, id="global-malformed"),
    pytest.param(with_good(end=b""), CUT, id="no-end"),
    pytest.param(with_good(end=bytes(BLOCK)), CUT, id="half-an-end"),
    pytest.param(with_good(end=bytes(BLOCK) + entry(A)), "only half", id="an-entry-in-the-end"),
    pytest.param(with_good(end=bytes(2 * BLOCK - 1)), CUT, id="one-byte-short"),
    pytest.param(with_good(end=END + b"\0" * 99 + b"x"), "data behind", id="a-byte-behind-the-end"),
    pytest.param(WHOLE + WHOLE, "data behind tar's end marker", id="two-archives"),
    pytest.param(WHOLE[:300], CUT, id="cut-in-a-header"),
    pytest.param(with_good(header(A, size=BLOCK + 1) + bytes(BLOCK), end=b""), CUT, id="cut-data"),
    pytest.param(with_good(header(A, size=10**6)), CUT, id="size-beyond-the-end"),
    pytest.param(b"", CUT, id="nothing"),
]


@pytest.mark.parametrize(("archive", "says"), REFUSED)
def test_refused(reader: Reader, archive: bytes, says: str) -> None:
    assert says in reader.refuse(xz(archive))


ACCEPTED = [
    pytest.param(pax(size=b"3") + header(A) + b"abc".ljust(BLOCK, b"\0"), id="pax-size-counts"),
    pytest.param(pax(path=A) + entry(b"../../../around/file", b"abc"), id="pax-path-counts"),
    pytest.param(
        pax(mtime=b"-1.5", uid=b"9" * 30, hdrcharset=b"BINARY") + entry(A, b"abc"),
        id="pax-that-says-nothing-of-ours",
    ),
    pytest.param(
        entry(b"p", record(b"path", b"b") + record(b"path", A), b"x") + entry(b"x", b"abc"),
        id="pax-path-twice",
    ),
    pytest.param(
        entry(b"p", b"0022 path=" + A + b"\n", b"x") + entry(b"x", b"abc"), id="pax-zeros-in-length"
    ),
    pytest.param(
        pax(SCHILY__xattr__user=b"\n\0=\xff") + entry(A, b"abc"), id="pax-attribute-that-is-no-text"
    ),
    pytest.param(pax(b"g", comment=b"0123abcd") + entry(A, b"abc"), id="global-comment"),
    pytest.param(gnu_long(A) + entry(b"x", b"abc"), id="gnu-name"),
    pytest.param(
        header(A, size=b"\x80" + bytes(10) + b"\x03") + b"abc".ljust(BLOCK, b"\0"),
        id="size-in-base-256",
    ),
    pytest.param(
        header(A, size=b"          3 ") + b"abc".ljust(BLOCK, b"\0"), id="size-between-spaces"
    ),
    pytest.param(entry(A, b"abc", b"\0", magic=bytes(8)), id="before-ustar"),
    pytest.param(
        entry(A, b"abc", magic=b"ustar  \0", prefix=b"12345670123\x00"), id="times-of-old-gnu"
    ),
    pytest.param(entry(b"a.h", b"abc", prefix=b"include"), id="prefix-of-ustar"),
    pytest.param(entry(A, b"abc", user=b"\xff\x1b[31m"), id="user-that-is-not-text"),
]


@pytest.mark.parametrize("entries", ACCEPTED)
def test_accepted(reader: Reader, entries: bytes) -> None:
    bundle = reader.accept(xz(with_good(entries)))
    assert (bundle.headers / A.decode()).read_bytes() == b"abc"


@pytest.mark.parametrize("mode", [0, 0o600, 0o2777, 0o4755, 0o1777, 0o6777, 0o7777777])
@pytest.mark.parametrize("kind", [b"0", b"5"])
def test_modes_and_owners_are_ours(reader: Reader, mode: int, kind: bytes) -> None:
    """That files come out 0444 and directories 0755 is looked at in every bundle."""
    bundle = reader.accept(xz(with_good(entry(b"include/a", kind=kind, mode=mode, user=b"root"))))
    assert (bundle.headers / "include/a").stat().st_mtime > 1_600_000_000


@pytest.mark.parametrize("end", [END, bytes(20 * BLOCK), bytes(2 * BLOCK + 1)])
def test_zeros_behind_the_end(reader: Reader, end: bytes) -> None:
    reader.accept(xz(with_good(end=end)))


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_all_formats_with_long_names(reader: Reader, kind: int) -> None:
    long = "include/" + "x" * 90 + "/" + "y" * 90 + ".h"
    files = {**GOOD, long: b"long\n", "include/empty.h": b""}
    bundle = reader.accept(xz(tar(files, kind=kind)))
    assert {name: (bundle.headers / name).read_bytes() for name in files} == files


def test_the_table_is_not_refused_for_its_making() -> None:
    """Other readers read what the builders make, where it is meant to be right."""
    made = with_good(pax(path=A) + entry(b"x", b"abc"), gnu_long(b"b") + entry(b"y", b"d"))
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        assert archive.getnames() == [*GOOD, A.decode(), "b"]
