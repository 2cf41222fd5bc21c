"""Which bundle a command that builds takes: the one named, the device's, the last one used."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from droidheaders.cache import Cache
from droidheaders.cli.main import run
from tests.archives import tar, xz
from tests.cache.making import make
from tests.fake_device import FakeDevice

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("DROIDHEADERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DROIDHEADERS_STATE", str(tmp_path / "state"))
    return Cache(tmp_path / "cache")


def kdir(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as stop:
        run(["flags", "--module", "--kdir", *arguments])
    out = capsys.readouterr()
    return stop.value.code, out.out.strip(), out.err


def test_without_a_device_the_last_one_used(
    cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = make(cache, "6.1.1"), make(cache, "6.1.2")
    os.utime(new.path, (1, 1))
    status, out, err = kdir(capsys)
    assert (status, out) == (0, str(old.headers))
    assert err == f"no device: taking {old.name}, which was used last\n"
    os.utime(old.path, (2, 2))
    assert kdir(capsys, "--bundle", "6.1.2")[1:] == (str(new.headers), "")
    assert kdir(capsys)[1] == str(new.headers)  # to be named is to be used


def test_a_cache_that_may_only_be_read_serves(
    cache: Cache, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make(cache)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.utime", refuse)
    assert kdir(capsys)[1] == str(bundle.headers)


def test_nothing_at_all(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = kdir(capsys)
    assert (status, out) == (5, "")
    assert "is empty" in err
    assert "droidheaders pull" in err


@pytest.mark.parametrize("named", [["-s", "abc"], ["-d"], ["-t", "3"], []])
def test_no_server_is_started(
    cache: Cache,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    named: list[str],
) -> None:
    """A device that is named and cannot be asked is an error: another's headers would be wrong."""
    make(cache)
    if not named:
        monkeypatch.setenv("ANDROID_SERIAL", "abc")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
    status, out, err = kdir(capsys, *named)
    assert (status, out) == (3, "")
    assert "no adb server listens" in err
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port)).close()


def test_the_device_s_own(
    cache: Cache,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(cache, "9.9.9")
    with FakeDevice(tmp_path / "device", xz(tar())) as device:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(device.port))
        status, out, err = kdir(capsys)
        assert (status, out) == (5, "")
        assert "whose headers are not in the cache" in err
        assert "hint: droidheaders pull -s " in err
        with pytest.raises(SystemExit) as stop:
            run(["pull", "-q"])
        assert stop.value.code == 0
        pulled = capsys.readouterr().out.strip()
        device.scripts.clear()
        assert kdir(capsys) == (0, pulled, "")
        assert len(device.scripts) == 1
