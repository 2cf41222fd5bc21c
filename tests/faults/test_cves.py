"""Archives as published advisories about Python's tarfile describe them.

CVE-2007-4559: a name with `..`. The other four, of June 2025 (gh-135034), get past the checks of
its extraction filters, by links whose meaning changes between the check and the use.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.archives import entry, link, pax, with_good, xz
from tests.faults.reading import Reader, Tar, everything, surround

Unpacker = Callable[[bytes, Path], None]

UP = b"../../../../around"  # from where an archive is unpacked, to what must not change


def climbing() -> bytes:
    """CVE-2007-4559: the name itself climbs out."""
    return with_good(entry(UP + b"/file", b"bad"), entry(UP + b"/new", b"bad"))


def metadata() -> bytes:
    """CVE-2024-12718: a directory becomes a link before its mode and time are set, in the end."""
    return with_good(
        link(b"x", b"."),
        entry(b"x", kind=b"5", mode=0o777),
        link(b"x", b"l/l/l/l/" + UP + b"/inner"),
        link(b"l", b"./"),
    )


def changing_links() -> bytes:
    """CVE-2025-4138: `escape` leads inside as long as there is no `l`, and outside afterwards."""
    return with_good(link(b"escape", b"l/l/l/l/" + UP + b"/file"), link(b"l", b"./"))


def copied_link() -> bytes:
    """CVE-2025-4330: a hard link that cannot be made becomes a copy of a link, where it escapes."""
    return with_good(
        entry(b"a/b/c/d/dummy"),
        entry(b"e", kind=b"5"),
        link(b"f", b"a/b/c/d"),
        link(b"f/link", UP + b"/file"),
        link(b"f", b"e"),
        link(b"escape", b"f/link", b"1"),
    )


def unresolved(component: bytes) -> bytes:
    """CVE-2025-4517: realpath() resolves no link beyond PATH_MAX, so that `..` only shortens it.

    Sixteen directories, one in the other, and beside each a link to it with a short name; through
    those, at the far end, a link to the top. What begins there seems to be sixteen levels down.
    """
    entries = []
    directory = short = b""
    for letter in (b"%c" % code for code in b"abcdefghijklmnop"):
        entries += [
            pax(path=directory + component) + entry(b"d", kind=b"5"),
            pax(path=directory + letter, linkpath=component) + entry(b"l", kind=b"2"),
        ]
        directory += component + b"/"
        short += letter + b"/"
    top = short + b"t" * 254
    return with_good(
        *entries,
        pax(path=top, linkpath=b"../" * 16) + entry(b"l", kind=b"2"),
        pax(linkpath=top + b"/" + UP) + entry(b"out", kind=b"2"),
        link(b"hard", b"out/file", b"1"),
        entry(b"hard", b"bad"),
        entry(b"out/new", b"bad"),
    )


def beyond_path_max(home: Path) -> bytes:
    """CVE-2025-4517, its components as long as this place asks for."""
    return unresolved(b"d" * ((os.pathconf(home, "PC_PATH_MAX") - len(bytes(place(home)))) // 17))


def place(home: Path) -> Path:
    """Return where a pull would unpack, or one as far from what is around it."""
    return home / "cache/kernels/.staging-0123456789abcdef/headers"


TWICE = "has two entries named"
THROUGH = "as a directory"
# The archive; what a pull says, or what it leaves out; which link escapes from others, if any.
CVES = [
    pytest.param(climbing(), "no plain path", "", id="CVE-2007-4559"),
    pytest.param(metadata(), TWICE, "", id="CVE-2024-12718"),
    pytest.param(changing_links(), {"symlink through a symlink": 1}, "escape", id="CVE-2025-4138"),
    pytest.param(copied_link(), THROUGH, "escape", id="CVE-2025-4330"),
    pytest.param(beyond_path_max, "has a name of", "", id="CVE-2025-4517"),
]


@pytest.mark.parametrize(
    ("archive", "ends"),
    [
        *(pytest.param(*case.values[:2], id=str(case.id)) for case in CVES),
        pytest.param(unresolved(b"d" * 20), THROUGH, id="CVE-2025-4517-with-short-names"),
    ],
)
def test_nothing_outside_is_touched(
    reader: Reader, archive: Tar, ends: str | dict[str, int]
) -> None:
    data = xz(reader.made(archive))
    if isinstance(ends, str):
        assert ends in reader.refuse(data)
    else:
        assert reader.accept(data).meta["headers"]["skipped"] == ends


def credulous(data: bytes, root: Path) -> None:
    """Unpack as the simplest of tools do: each entry where its name says, in order."""
    directories = []
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            path = root / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.isdir():
                path.mkdir(exist_ok=True)
                directories.append((path, member.mode))
            elif member.issym():
                path.unlink(missing_ok=True)
                path.symlink_to(member.linkname)
            elif member.islnk() and not (root / member.linkname).exists():
                path.symlink_to(archive.getmember(member.linkname).linkname)
            elif member.islnk():
                path.hardlink_to(root / member.linkname)
            else:
                source = archive.extractfile(member)
                assert source is not None
                path.write_bytes(source.read())
    for path, mode in directories:
        path.chmod(mode)


def filtered(data: bytes, root: Path) -> None:
    """Unpack with what is in this interpreter, under the filter that was meant to be safe."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(root, filter="data")


def escapes(unpacker: Unpacker, archive: Tar, escaping: str, home: Path) -> bool:
    """Tell whether the archive changes what is around, or makes a link to it."""
    around = surround(home)
    before = everything(around)
    root = place(home)
    root.mkdir(parents=True)
    unpacker(archive if isinstance(archive, bytes) else archive(home), root)
    if escaping:
        return (root / escaping).is_symlink() and (root / escaping).samefile(around / "file")
    return everything(around) != before


@pytest.mark.parametrize(("archive", "ends", "escaping"), CVES)
def test_the_archives_bite(tmp_path: Path, archive: Tar, ends: object, escaping: str) -> None:
    """Or the tests above would prove nothing."""
    assert escapes(credulous, archive, escaping, tmp_path)


# The releases that these were repaired in; Debian's 3.11.2 has no filter at all.
REPAIRED = {(3, 11): 13, (3, 12): 11, (3, 13): 4}


@pytest.mark.skipif(
    not hasattr(tarfile, "data_filter")
    or sys.version_info[2] >= REPAIRED.get(sys.version_info[:2], 0),
    reason="the tarfile of this interpreter has no filter, or a repaired one",
)
@pytest.mark.parametrize(("archive", "ends", "escaping"), CVES[1:])
def test_they_got_past_the_filter_of_tarfile(
    tmp_path: Path, archive: Tar, ends: object, escaping: str
) -> None:
    assert escapes(filtered, archive, escaping, tmp_path)
