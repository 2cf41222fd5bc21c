"""A pull of one archive, and all that must hold after it, whatever was in the archive."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from droidheaders.cache import Bundle
from droidheaders.cli.main import run
from tests.archives import RELEASE, tar, xz
from tests.fake_device import FakeDevice
from tests.faults.invariant import snapshot, verified_or_none

GOOD_ARCHIVE = xz(tar())
_ROOMS = {"kernels", "index", "locks"}
_PARTS = {"bundle.json", "headers", "archive.tar.xz", "manifest", "droidheaders-bpf.pc"}
_NOTHING = nullcontext()
_OLD = 1_000_000_000_000_000_000

# The tar archive itself, or what makes it for a directory that it wants to break into.
Tar = bytes | Callable[[Path], bytes]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


class Reader:
    """Pulls from `device` into a cache below `home`, between things that must not change.

    From the directory that an archive is unpacked into, `home / "around"` is at ../../../../around.
    """

    def __init__(self, device: FakeDevice, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.around = home / "around"
        self.cache = home / "cache"
        self._device = device
        self._home = home
        self._capsys = capsys
        surround(home)

    def made(self, tar: Tar) -> bytes:
        """Return the tar archive, made for this reader's surroundings."""
        return tar if isinstance(tar, bytes) else tar(self._home)

    def refuse(
        self,
        archive: bytes,
        *,
        status: int = 5,
        during: AbstractContextManager[None] = _NOTHING,
    ) -> str:
        """Pull an archive that must end with `status` and leave nothing; return the sentence.

        `during` holds for that one pull, and not for the next, which must succeed.
        """
        with during:
            done = self._pull(archive)
        assert (done.status, done.out) == (status, ""), done.err
        assert [line.partition(":")[0] for line in done.err.splitlines()] == ["error", "hint"]
        assert done.err.isprintable() or done.err.replace("\n", "").isprintable()
        error = done.err.splitlines()[0]
        assert {p.name for p in self.cache.rglob("*")} <= _ROOMS
        assert "fake-1" in error or status != 5
        assert RELEASE in error or status != 5
        self.next_run_succeeds()
        return error

    def accept(self, archive: bytes) -> Bundle:
        """Pull an archive that must become a bundle, and return that."""
        done = self._pull(archive)
        assert done.status == 0, done.err
        [bundle] = verified_or_none(self.cache)
        assert done.out == f"{bundle.headers}\n"
        assert (bundle.path / "archive.tar.xz").read_bytes() == archive
        whole(bundle)
        again = self._pull(archive)
        assert (again.status, again.out) == (0, done.out), again.err
        return bundle

    def next_run_succeeds(self) -> None:
        """Pull a good archive from the same device into the same cache."""
        done = self._pull(GOOD_ARCHIVE)
        assert done.status == 0, done.err
        [bundle] = verified_or_none(self.cache)
        whole(bundle)

    def _pull(self, archive: bytes) -> Done:
        """Pull, and check what must be so however it ends."""
        self._device.write("sys/kernel/kheaders.tar.xz", archive)
        before = self._untouched()
        with pytest.raises(SystemExit) as stop:
            run(["pull"])
        output = self._capsys.readouterr()
        assert self._untouched() == before
        assert self._device.log == []
        assert {p.name for p in self._home.iterdir()} <= {"around", "cache", "state"}
        assert {p.name for p in self.cache.iterdir()} <= _ROOMS
        assert not list(self.cache.glob("*/.*"))
        verified_or_none(self.cache)
        assert isinstance(stop.value.code, int)
        return Done(stop.value.code, output.out, output.err)

    def _untouched(self) -> object:
        return everything(self.around), snapshot(self._device.root)


def surround(home: Path) -> Path:
    """Make what must not change below `home`, all of it old; return its directory."""
    around = home / "around"
    inner = around / "inner"
    inner.mkdir(parents=True)
    inner.chmod(0o700)
    for file in (around / "file", inner / "file"):
        file.write_text("mine")
        file.chmod(0o640)
    (around / "link").symlink_to("file")
    for path in (inner / "file", around / "file", inner, around):
        os.utime(path, ns=(_OLD, _OLD))
    return around


def everything(around: Path) -> object:
    """Return all that can be told of a tree; directories' times and link counts too."""
    directories = [around, *(p for p in around.rglob("*") if p.is_dir() and not p.is_symlink())]
    infos = {p: p.lstat() for p in (*directories, *around.rglob("*"))}
    facts = {p: (i.st_mode, i.st_uid, i.st_nlink, i.st_mtime_ns) for p, i in infos.items()}
    return facts, snapshot(around)


def whole(bundle: Bundle) -> None:
    """Read a bundle back: only what belongs there, as the manifest says, readable and read-only."""
    assert {p.name for p in bundle.path.iterdir()} == _PARTS
    stated = bundle.manifest()
    links: dict[str, str] = bundle.meta["symlinks"]
    files = set()
    for path in bundle.path.rglob("*"):
        name = str(path.relative_to(bundle.path))
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            assert links[name.removeprefix("headers/")] == os.readlink(path)
            assert path.resolve(strict=True).is_relative_to(bundle.headers)
        elif stat.S_ISDIR(mode):
            assert stat.S_IMODE(mode) == 0o755 & ~_umask()
        else:
            assert stat.S_ISREG(mode)
            if name.startswith("headers/"):
                assert stat.S_IMODE(mode) == 0o444 & ~_umask()
            if name != "manifest":
                files.add(name)
                assert hashlib.sha256(path.read_bytes()).hexdigest() == stated[name]
    assert files == stated.keys()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
