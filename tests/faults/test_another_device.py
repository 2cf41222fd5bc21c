"""Another device than the one that is meant is not touched, whoever took whose place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adb.fake_server import Peer, okay
from tests.archives import tar, xz
from tests.fake_device import FakeDevice
from tests.faults.command import Command

ARCHIVE = xz(tar())
LISTED = "{} device product:p model:Fake device:d transport_id:{}\n"


@pytest.fixture
def device(tmp_path: Path) -> Iterator[FakeDevice]:
    with FakeDevice(tmp_path / "device", ARCHIVE) as device:
        yield device


class Swapped(FakeDevice):
    """Another device is behind the serial from the script of that number on, or from the list."""

    def __init__(self, root: Path, at: int) -> None:
        super().__init__(root, ARCHIVE)
        self._at = at
        if at == 0:
            self.on("host:devices-l", self._list)

    def _list(self, peer: Peer) -> None:
        listed, self.devices = self.devices, LISTED.format("fake-1", 4)
        peer.send(okay(listed))

    def _run(self, script: str, peer: Peer) -> None:
        if len(self.scripts) + 1 == self._at:
            self.devices = LISTED.format("fake-1", 4)
        super()._run(script, peer)


@pytest.mark.parametrize("at", [0, 1], ids=["when listed", "when probed"])
def test_a_device_swapped_under_the_same_serial(tmp_path: Path, command: Command, at: int) -> None:
    with Swapped(tmp_path / "device", at) as device:
        err = command.fails(device, 6, "pull")
        assert "it went away and is back under another transport id" in err
        assert len(device.scripts) == at  # none came to the other one
        assert set(device.transports) == {"host:transport-id:3"}
        device.transports.clear()
        command.pulls(device)
        assert set(device.transports) == {"host:transport-id:4"}


OTHER = LISTED.format("fake-1", 3) + LISTED.format("fake-2", 4)


@pytest.mark.parametrize(
    ("devices", "options", "serial"),
    [
        pytest.param(OTHER, "", "", id="two"),
        pytest.param(OTHER, "-e", "", id="two by TCP"),
        pytest.param(LISTED.format("fake-1", 3), "-d", "", id="none by USB"),
        pytest.param(LISTED.format("fake-1", 3), "-s other", "", id="another serial"),
        pytest.param(LISTED.format("fake-1", 3), "-t 9", "", id="another transport"),
        pytest.param(LISTED.format("fake-1", 3), "", "other", id="another in ANDROID_SERIAL"),
        pytest.param("fake-1 unauthorized transport_id:3\n", "", "", id="unauthorized"),
        pytest.param("fake-1 offline transport_id:3\n", "", "", id="offline"),
        pytest.param("fake-1 bootloader transport_id:3\n", "", "", id="in its bootloader"),
    ],
)
def test_no_device_is_touched_that_is_not_meant(
    device: FakeDevice,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    devices: str,
    options: str,
    serial: str,
) -> None:
    whole, device.devices = device.devices, devices
    monkeypatch.setenv("ANDROID_SERIAL", serial)
    command.fails(device, 3, *options.split(), "pull")
    assert device.requests == ["host:devices-l"]
    assert device.transports == []
    device.devices = whole
    monkeypatch.setenv("ANDROID_SERIAL", "fake-1")
    command.pulls(device)
