from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from droidheaders.adb import Device, Endpoint, Server
from tests.fake_device import FakeDevice


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDevice]:
    """A device whose root is had by su, and a journal of our own."""
    monkeypatch.setenv("DROIDHEADERS_STATE", str(tmp_path / "state"))
    with FakeDevice(tmp_path / "device", None) as device:
        yield device


@pytest.fixture
def device(fake: FakeDevice) -> Device:
    return Server(Endpoint("127.0.0.1", fake.port), timeout=5.0).select()
