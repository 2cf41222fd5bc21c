"""What the tests of `check` share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from droidheaders.cli.main import run
from tests.check.phone import phone
from tests.fake_device import FakeDevice
from tests.faults.command import harmless

_VARIABLES = ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_SERIAL", "COLUMNS")


@dataclass(frozen=True)
class Ended:
    """How a check ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the one object that stdout is."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    def fails(self, status: int) -> str:
        """Return the error and the hint, of which there is one each and nothing else."""
        assert (self.status, self.out) == (status, ""), self
        error, hint = self.err.splitlines()
        assert error.startswith("error: "), self.err
        assert hint.startswith("hint: "), self.err
        assert len(hint) > len("hint: "), self.err
        return self.err


Check = Callable[..., Ended]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[FakeDevice]:
    with phone(tmp_path / "device") as built:
        yield built


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Check:
    """Return `check` as a function of a device, or None, and arguments."""
    monkeypatch.setenv("DROIDHEADERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DROIDHEADERS_STATE", str(tmp_path / "state"))
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def call(device: FakeDevice | None, *arguments: str | Path) -> Ended:
        if device:
            monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
            monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(device.port))
        else:  # a name that is no server's, should a device be looked for where none is to be asked
            monkeypatch.setenv("ADB_SERVER_SOCKET", "none")
        with pytest.raises(SystemExit) as stop:
            run(["check", *map(str, arguments)])
        out = capsys.readouterr()
        assert harmless(out.out), out.out
        assert harmless(out.err), out.err
        assert isinstance(stop.value.code, int)
        return Ended(stop.value.code, out.out, out.err)

    return call
