"""A pytest session inside a test: with an adb server, a state and a cache of our own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from droidheaders.adb import Endpoint, Server
from droidheaders.debian.place import cache_dir
from droidheaders.guest import instance

_IMAGES = cache_dir()  # pytester gives its sessions another home


@dataclass(frozen=True)
class Inner:
    """The directory of a pytest session, which `run` runs."""

    pytester: pytest.Pytester
    server: Server

    def run(self, *arguments: str, **files: str) -> pytest.RunResult:
        """Run pytest, with warnings as errors, where the test files are that are given by name."""
        self._write(files)
        words = ("-W", "error", "-p", "no:cacheprovider", "--strict-markers", "-rA", *arguments)
        return self.pytester.runpytest_subprocess(*words)

    def start(self, *arguments: str, **files: str) -> subprocess.Popen[bytes]:
        """Start pytest; Ctrl-C reaches it also when we are in a shell's background."""
        self._write(files)
        env = ["env", "--default-signal=INT,TERM,HUP", "--chdir", str(self.pytester.path)]
        command = [*env, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def _write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.pytester.path / f"{name}.py").write_text(text)

    def is_as_found(self) -> bool:
        """Tell whether no guest is left, and nothing attached."""
        return instance.instances() == [] and self.server.devices() == []


def failure(result: pytest.RunResult, test: str) -> str:
    """Return the report of a test that failed, or whose fixture did."""
    text = "\n".join(result.outlines)
    [found] = re.findall(
        rf"^_+ (?:ERROR at \w+ of )?{test} _+$(.*?)^(?:__+ .* __+$|=+ )", text, re.M | re.S
    )
    return str(found)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        found: int = probe.getsockname()[1]
    return found


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server(Endpoint("127.0.0.1", free_port()))
    yield server
    if server.listens():
        command = ["adb", "-P", str(server.endpoint.port), "kill-server"]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def inner(
    pytester: pytest.Pytester,
    server: Server,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Inner]:
    """A session whose pulls and builds those of other tests find done."""
    cache = tmp_path_factory.getbasetemp() / "plugin-cache"
    for name in ("ANDROID_SERIAL", "ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.endpoint.port))
    monkeypatch.setenv("DROIDHEADERS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DROIDHEADERS_CACHE", str(cache))
    monkeypatch.setenv("DROIDHEADERS_GUEST_CACHE", str(_IMAGES))
    yield Inner(pytester, server)
