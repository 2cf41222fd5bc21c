"""Disks that cannot hold a kernel's headers as they are: said, or counted, never half done."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from droidheaders.errors import DroidheadersError
from droidheaders.headers.limits import Limits
from droidheaders.headers.tar import members
from droidheaders.headers.unpack import unpack
from tests.archives import GOOD, tar

PAIR = {"include/xt_MARK.h": b"one", "include/xt_mark.h": b"two"}


def ignore_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have os.open and os.mkdir answer as on a disk where names differ by more than case."""
    there: set[str] = set()

    def once(call: str) -> None:
        real = getattr(os, call)

        def guarded(path: str, *rest: int) -> int | None:
            if path.lower() in there:
                raise FileExistsError(errno.EEXIST, "File exists", path)
            there.add(path.lower())
            result: int | None = real(path, *rest)
            return result

        monkeypatch.setattr(os, call, guarded)

    once("open")
    once("mkdir")


def test_a_disk_that_ignores_case_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignore_case(monkeypatch)
    with pytest.raises(DroidheadersError, match=r"ignores case, and would lose .*xt_mark\.h"):
        unpack(members(iter([tar({**GOOD, **PAIR})]), Limits()), tmp_path, Limits())


def test_a_disk_that_tells_case_apart_holds_both(tmp_path: Path) -> None:
    unpack(members(iter([tar({**GOOD, **PAIR})]), Limits()), tmp_path, Limits())
    assert {name: (tmp_path / name).read_bytes() for name in PAIR} == PAIR


def test_links_are_left_out_where_the_disk_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(target: str, path: str) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", path)

    monkeypatch.setattr(os, "symlink", refuse)
    archive = tar(links={"include/linux/task.h": "sched.h"})
    done = unpack(members(iter([archive]), Limits()), tmp_path, Limits())
    assert done.skipped == {"symlink on a disk that has none": 1}
    assert not done.symlinks


def test_what_is_shared_is_not_written(tmp_path: Path) -> None:
    asked: list[str] = []

    def share(name: str, data: memoryview, path: str) -> str:
        asked.append(name)
        if name != "include/linux/sched.h":
            return ""
        Path(path).write_bytes(data)
        return "digest"

    done = unpack(members(iter([tar()]), Limits()), tmp_path, Limits(), share)
    assert asked == list(GOOD)
    assert done.sha256["include/linux/sched.h"] == "digest"
    assert {name: (tmp_path / name).read_bytes() for name in GOOD} == GOOD
