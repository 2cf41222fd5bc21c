"""The archive against what kernel/gen_kheaders.sh does."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.errors import DroidheadersError
from droidheaders.guest import kheaders

# the expression in the script, flags s, m and g
PERL = re.compile(rb"/\*((?!SPDX).)*?\*/", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("source", "stripped"),
    [
        (b"int a; /* gone */ int b;", b"int a;  int b;"),
        (
            b"/* SPDX-License-Identifier: GPL-2.0 */\nx",
            b"/* SPDX-License-Identifier: GPL-2.0 */\nx",
        ),
        (b"/* over\n * lines\n */\nx", b"\nx"),
        (b"a /**/ b", b"a  b"),
        (b"a /*/ b", b"a /*/ b"),
        (b"a /*/ b */ c", b"a  c"),
        (b"// kept\nx", b"// kept\nx"),
        (b"/* SPDX /* inner */ x", b"/* SPDX  x"),
        (b"/* open", b"/* open"),
    ],
)
def test_comments_are_stripped(source: bytes, stripped: bytes) -> None:
    assert kheaders.strip_comments(source) == stripped


@given(st.lists(st.sampled_from([b"/", b"*", b"/*", b"*/", b"SPDX", b"SP", b"x", b"\n"])))
def test_stripping_is_what_the_kernels_script_does(parts: list[bytes]) -> None:
    source = b"".join(parts)
    assert kheaders.strip_comments(source) == PERL.sub(b"", source)


def trees(root: Path) -> tuple[Path, Path]:
    common, headers = root / "common", root / "headers"
    for path, text in {
        "common/include/linux/fs.h": "/* c */common",
        "common/include/linux/Kbuild": "obj",
        "common/include/generated/x.h": "old",
        "common/arch/x86/include/asm/a.h": "x86",
        "common/arch/arm64/include/asm/a.h": "arm64",
        "common/scripts/s.h": "no",
        "headers/include/generated/x.h": "new",
        "headers/include/config/auto.conf": "y",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (common / "include/dt-bindings").mkdir()
    (common / "include/dt-bindings/codes.h").symlink_to("../linux/fs.h")
    return headers, common


def test_headers_of_both_trees_are_merged(tmp_path: Path) -> None:
    headers, common = trees(tmp_path)
    out = tmp_path / "out"
    kheaders.merge(headers, common, "arm64", out)
    files = {str(p.relative_to(out)): p.read_text() for p in out.rglob("*") if not p.is_dir()}
    assert files == {
        "include/linux/fs.h": "common",
        "include/generated/x.h": "new",
        "include/dt-bindings/codes.h": "common",
        "arch/arm64/include/asm/a.h": "arm64",
    }
    assert str((out / "include/dt-bindings/codes.h").readlink()) == "../linux/fs.h"


def test_the_archive_is_normal_and_always_the_same(tmp_path: Path) -> None:
    headers, common = trees(tmp_path)
    kheaders.merge(headers, common, "x86_64", tmp_path / "out")
    for name in ("a", "b"):
        kheaders.pack(tmp_path / "out", tmp_path / name, 1700000000)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with tarfile.open(tmp_path / "a", "r:xz") as tar:
        entries = tar.getmembers()
    assert [entry.name for entry in entries][:4] == [
        ".",
        "./arch",
        "./arch/x86",
        "./arch/x86/include",
    ]
    assert {(e.uid, e.gid, e.uname, e.gname, e.mtime) for e in entries} == {
        (0, 0, "", "", 1700000000)
    }
    assert sum(entry.issym() for entry in entries) == 1
    # one stream, one block, CRC64: the check id is in the stream header (xz-file-format 2.1.1.2)
    assert (tmp_path / "a").read_bytes()[:8] == b"\xfd7zXZ\0\0\x04"


def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    headers = tmp_path / "linux-headers-9.9"
    headers.mkdir()
    (headers / "Makefile").write_text(
        "modules:\n\t@echo 'kheaders.c:1:1: error: no such thing'; false\n"
    )
    (tmp_path / "kernel").mkdir()
    for name in kheaders.SOURCES:
        (tmp_path / name).write_text("")
    (tmp_path / "archive").write_bytes(b"")
    with pytest.raises(
        DroidheadersError, match=r"linux-headers-9\.9 cannot be built: .*no such thing"
    ):
        kheaders.build(
            headers,
            tmp_path / "work",
            archive=tmp_path / "archive",
            config=b"",
            sources=tmp_path,
            arch="x86_64",
        )
