"""What the tests of faults share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from droidheaders.headers.clang import _find
from tests.fake_device import FakeDevice
from tests.faults.command import Command
from tests.faults.reading import GOOD_ARCHIVE, Reader


@pytest.fixture(scope="session")
def archive_device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDevice]:
    """Return a device that lets its archive be read as it is; a test puts its own there."""
    root = tmp_path_factory.mktemp("archives") / "device"
    with FakeDevice(root, GOOD_ARCHIVE, loaded=True) as device:
        yield device


@pytest.fixture
def no_clang(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a host without clang: these headers are judged elsewhere, 0.1 s each."""
    monkeypatch.setattr("droidheaders.headers.clang.NAMES", ())
    _find.cache_clear()
    yield
    _find.cache_clear()


@pytest.fixture
def reader(
    no_clang: None,
    archive_device: FakeDevice,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Reader:
    """Return a reader with an empty cache."""
    for name in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_SERIAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(archive_device.port))
    monkeypatch.setenv("DROIDHEADERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DROIDHEADERS_STATE", str(tmp_path / "state"))
    return Reader(archive_device, tmp_path, capsys)


@pytest.fixture
def command(
    no_clang: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    """Return the command line with an empty cache; for a device of the test's own."""
    return Command(tmp_path, capsys, monkeypatch)
