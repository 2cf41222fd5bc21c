"""What an archive says of itself before it is unpacked, and where it ends."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from droidheaders.headers.limits import ArchiveError, Limits
from droidheaders.headers.spool import pieces, spool
from droidheaders.headers.survey import survey
from tests.archives import GOOD, RELEASE, WHOLE, tar, with_good, xz

UTS = "include/generated/utsrelease.h"
PTRACE = "arch/arm64/include/asm/ptrace.h"


def without(name: str) -> dict[str, bytes]:
    return {n: d for n, d in GOOD.items() if n != name}


def of_arch(arch: str, autoconf: bytes = b"") -> dict[str, bytes]:
    return without(PTRACE) | {
        f"arch/{arch}/include/asm/ptrace.h": b"x",
        "include/generated/autoconf.h": autoconf,
    }


def test_an_archive_ends_where_it_ends() -> None:
    archive = xz(tar())
    for behind in (b"", b"\0" * 600_000, archive):
        known = survey(memoryview(archive + behind))
        assert (known.size, known.release) == (len(archive), RELEASE)
        assert known.sha256 == hashlib.sha256(archive).hexdigest()


class Counter:
    """A bar that remembers how far it came."""

    taken = 0.0

    def update(self, n: float) -> None:
        self.taken += n


def test_what_is_behind_an_archive_is_not_read() -> None:
    """It may be 250 MB of kernel, which is not to be kept in memory."""
    bar = Counter()
    survey(memoryview(xz(tar()) + bytes(8 << 20)), bar)
    assert 0 < bar.taken <= 1 << 20


@pytest.mark.parametrize(
    ("files", "machine"),
    [
        (WHOLE, "aarch64"),
        (of_arch("x86", b"#define CONFIG_64BIT 1\n"), "x86_64"),
        (of_arch("x86", b"#define CONFIG_X86_32 1\n"), "i686"),
        (of_arch("riscv", b"#define CONFIG_64BIT 1\n"), "riscv64"),
        (of_arch("arm", b"#define CONFIG_CPU_32v7 1\n"), "armv7l"),
        (of_arch("arm", b"#define CONFIG_CPU_32v6 1\n"), "armv6l"),
        (of_arch("loongarch", b"#define CONFIG_64BIT 1\n"), "loongarch"),
        (WHOLE | {"arch/arm/include/asm/ptrace.h": b"stale"}, "aarch64"),
        ({f"./{name}": data for name, data in GOOD.items()}, "aarch64"),
    ],
)
def test_the_machine_by_the_architecture(files: dict[str, bytes], machine: str) -> None:
    assert survey(memoryview(xz(tar(files)))).machine == machine


def test_the_version_where_compile_h_has_it() -> None:
    def version(text: bytes) -> str:
        files = GOOD | {"include/generated/compile.h": text}
        return survey(memoryview(xz(tar(files)))).version

    assert version(b'#define UTS_VERSION "#1 SMP Tue"\n') == "#1 SMP Tue"
    assert version(b'#define UTS_VERSION "' + b"x" * 90 + b'"\n') == "x" * 64  # as uname(2) cuts it
    assert version(b'#define UTS_VERSION "\x1b[2J"\n') == ""
    assert version(b"") == ""


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (xz(tar(without(UTS))), f"holds no {UTS}"),
        (xz(tar(GOOD | {UTS: b""})), "is of no kernel: its UTS_RELEASE is no plain text: $"),
        (xz(tar(GOOD | {UTS: b'#define UTS_RELEASE "6\x1b[2J"\n'})), r"no plain text: 6\\x1b\[2J"),
        (
            xz(tar(GOOD | {UTS: b'#define UTS_RELEASE "%s"\n' % (b"6" * 65)})),
            "no plain text: 6{65}",
        ),
        (xz(tar(without(PTRACE))), "holds headers of no architecture"),
        (xz(tar(GOOD | of_arch("x86"))), "holds headers of arm64, x86, and must be of one"),
        (
            xz(tar({"README": b""}, links={"include/a.h": "/build/a.h", UTS: "/build/b.h"})),
            "is unusable: 2 of its headers are links that lead nowhere here, such as 'include/a.h'",
        ),
        (xz(tar())[:-1], "is cut off"),
        (xz(with_good(end=b"")), "ends in the middle"),
        (xz(b"text" * 1000), "is not a tar archive"),
        (b"no xz", "is not xz"),
    ],
)
def test_refused(archive: bytes, says: str) -> None:
    with pytest.raises(ArchiveError, match=says):
        survey(memoryview(archive))


def test_limits_hold() -> None:
    with pytest.raises(ArchiveError, match="more than 2 entries"):
        survey(memoryview(xz(tar())), limits=Limits(entries=2))


def test_a_spool_is_a_copy_without_a_name(tmp_path: Path) -> None:
    data = bytes(range(256)) * 3000
    view = spool(iter([data[:1000], b"", data[1000:]]), tmp_path)
    assert view == data
    assert view.readonly
    assert not list(tmp_path.iterdir())
    assert b"".join(pieces(view)) == data


def test_a_spool_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="larger than 1 MiB"):
        spool(iter([bytes(1 << 20), b"x"]), tmp_path, 1 << 20)
    with pytest.raises(ArchiveError, match="is empty"):
        spool(iter([b""]), tmp_path)
    assert not list(tmp_path.iterdir())
