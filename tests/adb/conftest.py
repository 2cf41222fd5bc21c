from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from droidheaders.adb import Device, Endpoint, Server
from droidheaders.adb._errors import warn_once

from .fake_server import FakeServer

PHONE = "phone1                 device usb:1-4 product:oriole model:Pixel_6 device:oriole "
PHONE += "transport_id:7\n"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "ADB_SERVER_SOCKET",
        "ANDROID_ADB_SERVER_ADDRESS",
        "ANDROID_ADB_SERVER_PORT",
        "ANDROID_SERIAL",
        "ADBUTILS_ADB_PATH",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DROIDHEADERS_STATE", str(tmp_path / "state"))
    warn_once.cache_clear()


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer(PHONE) as server:
        yield server


@pytest.fixture
def server(fake: FakeServer) -> Server:
    return Server(Endpoint("127.0.0.1", fake.port), timeout=5.0)


@pytest.fixture
def device(server: Server, fake: FakeServer) -> Device:
    """The phone, selected; what that took is forgotten."""
    found = server.select()
    fake.requests.clear()
    fake.connections = 0
    return found
