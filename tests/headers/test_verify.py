"""Which unpacked trees are refused altogether."""

from __future__ import annotations

from pathlib import Path

import pytest

from droidheaders.headers.limits import ArchiveError
from droidheaders.headers.unpack import Unpacked
from droidheaders.headers.verify import compiler, verify
from droidheaders.kernel import KernelIdentity
from tests.archives import GOOD, RELEASE

SCHED = "include/linux/sched.h"
KERNEL = KernelIdentity(RELEASE, "#1 SMP", "aarch64", "")


def check(root: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    for name, target in (links or {}).items():
        (root / name).symlink_to(target)
    verify(root, Unpacked(sha256=dict.fromkeys(files, "")), KERNEL)


def test_a_header_may_be_a_link(tmp_path: Path) -> None:
    files = {**GOOD, "include/linux/real.h": b"x"}
    del files[SCHED]
    check(tmp_path, files, {SCHED: "real.h"})


@pytest.mark.parametrize("content", [None, b""])
def test_headers_without_the_first_of_them_are_unusable(
    tmp_path: Path, content: bytes | None
) -> None:
    files = {name: data for name, data in GOOD.items() if name != SCHED}
    with pytest.raises(ArchiveError, match=f"is unusable: it holds no {SCHED}, or an empty one"):
        check(tmp_path, files if content is None else {**files, SCHED: content})


@pytest.mark.parametrize(
    ("compile_h", "expected"),
    [
        ('#define LINUX_COMPILER "gcc (GCC) 10"\n', "gcc (GCC) 10"),
        ('#define UTS_MACHINE\t\t"x"\n#define LINUX_COMPILER\t\t"clang 17"\n', "clang 17"),
        ("", ""),
        (None, ""),
    ],
    ids=["5.10", "6.1", "empty", "none"],
)
def test_the_compilers_own_words(tmp_path: Path, compile_h: str | None, expected: str) -> None:
    if compile_h is not None:
        (tmp_path / "include/generated").mkdir(parents=True)
        (tmp_path / "include/generated/compile.h").write_text(compile_h)
    assert compiler(tmp_path) == expected
