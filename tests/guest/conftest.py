from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from droidheaders.adb import Endpoint, Server


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of our own for instances; the cache of images is everybody's."""
    monkeypatch.setenv("DROIDHEADERS_STATE", str(tmp_path))
    return tmp_path / "guest"


@pytest.fixture(scope="module")
def adb() -> Iterator[Server]:
    """An adb server of our own."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    server = Server(Endpoint("127.0.0.1", port))
    server.ensure_running()
    yield server
    subprocess.run(["adb", "-P", str(port), "kill-server"], check=True, capture_output=True)
