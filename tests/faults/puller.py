"""A pull as a process of its own, beside things that it must not touch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.fake_device import FakeDevice
from tests.faults.invariant import snapshot, verified_or_none


class Puller:
    """Starts commands with a cache below `home`; what is around it must not change."""

    def __init__(self, device: FakeDevice, home: Path, files: dict[str, bytes]) -> None:
        self.cache = home / "cache"
        self.device = device
        self._files = files
        self._home = home
        (home / "sentinel").mkdir()
        (home / "sentinel/file").write_text("mine")
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("ADB_", "ANDROID_"))},
            "ANDROID_ADB_SERVER_PORT": str(device.port),
            "DROIDHEADERS_CACHE": str(self.cache),
            "DROIDHEADERS_STATE": str(home / "state"),
        }
        self._before = self._outside()

    def _outside(self) -> object:
        return snapshot(self._home / "sentinel"), snapshot(self.device.root)

    def start(
        self, *arguments: str, module: str = "droidheaders", **environment: str
    ) -> subprocess.Popen[str]:
        """Start the command line, or another module that ends in it, its output kept."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def pull(self) -> None:
        """Pull with nothing in the way, and check all there is to check."""
        with self.start("pull") as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        [bundle] = verified_or_none(self.cache)
        assert out == f"{bundle.headers}\n"
        for name, data in self._files.items():
            assert (bundle.headers / name).read_bytes() == data
        self.check()

    def check(self) -> None:
        """Check what must hold at any time."""
        assert len(verified_or_none(self.cache)) <= 1
        assert self._outside() == self._before
        assert not self.device.module_loaded

    @property
    def transfers(self) -> int:
        """Return how often the archive was read from the device."""
        return sum("insmod" in script for script in self.device.scripts)
