"""The command line in this process, beside things that it must not touch."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from droidheaders.adb._errors import warn_once
from droidheaders.cache import Bundle
from droidheaders.cli.main import run
from tests.fake_device import FakeDevice
from tests.faults.invariant import snapshot, verified_or_none

_VARIABLES = ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_SERIAL")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status, and all it wrote."""

    status: int
    out: str
    err: str


class Command:
    """Runs commands with a cache below `home`, and checks after each what must always hold.

    That is: the cache holds verified bundles or none; nothing beside it changed; the device has the
    files, modules and users it had; neither stream has a byte that a terminal would obey. `during`
    is what holds while a command runs.
    """

    def __init__(
        self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.cache = home / "cache"
        self.during: Callable[[], AbstractContextManager[None]] = nullcontext
        self.beside = home / "beside"
        self.beside.mkdir()
        (self.beside / "file").write_text("mine")
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        for name in _VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DROIDHEADERS_CACHE", str(self.cache))
        monkeypatch.setenv("DROIDHEADERS_STATE", str(home / "state"))
        monkeypatch.chdir(self.beside)

    def run(self, device: FakeDevice, *arguments: str) -> Ended:
        """Run a command against the server of `device`."""
        ended = self.tries(device, *arguments)
        verified_or_none(self.cache)
        assert not list(self.cache.glob("kernels/.*"))
        return ended

    def looks(self, device: FakeDevice, *arguments: str) -> Ended:
        """Run a command that must leave the cache as it is, damaged as that may be."""
        before = snapshot(self.cache)
        ended = self.tries(device, *arguments)
        assert snapshot(self.cache) == before
        return ended

    def tries(self, device: FakeDevice, *arguments: str) -> Ended:
        """Run a command on a cache that may be damaged; check all but that."""
        self._monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(device.port))
        warn_once.cache_clear()
        before = snapshot(self.beside), snapshot(device.root)
        with self.during(), pytest.raises(SystemExit) as stop:
            run([*arguments])
        out = self._capsys.readouterr()
        status = stop.value.code
        assert isinstance(status, int)
        assert harmless(out.out), out.out
        assert harmless(out.err), out.err
        deadline = time.monotonic() + 5  # a device may still be undoing what it did
        while (snapshot(self.beside), snapshot(device.root)) != before:
            assert time.monotonic() < deadline, "something changed"
            time.sleep(0.01)
        assert not {"root:", "sync:", "remount:"} & set(device.requests)
        return Ended(status, out.out, out.err)

    def fails(self, device: FakeDevice, status: int, *arguments: str) -> str:
        """Run a command that ends with `status` and one sentence; return that and its hint."""
        ended = self.run(device, *arguments)
        assert (ended.status, ended.out) == (status, ""), ended
        lines = [line for line in ended.err.splitlines() if not line.startswith("warning: ")]
        assert [line.partition(": ")[0] for line in lines] == ["error", "hint"], ended.err
        assert all(20 < len(line) < 700 for line in lines), ended.err
        assert not lines[0].endswith("."), lines[0]
        return ended.err

    def pulls(self, device: FakeDevice, *arguments: str) -> Bundle:
        """Pull with nothing in the way; return the bundle."""
        ended = self.run(device, "pull", *arguments)
        assert ended.status == 0, ended.err
        [bundle] = [b for b in verified_or_none(self.cache) if f"{b.headers}\n" == ended.out]
        return bundle


def harmless(text: str) -> bool:
    """Tell whether a terminal shows this text and does nothing else."""
    return all(c.isprintable() or c in "\n\t" for c in text)
