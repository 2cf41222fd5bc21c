"""A cache that is to rot, and the ways it does."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from droidheaders.cache import Cache
from tests.fake_device import FakeDevice
from tests.faults.command import Command

SCHED = "headers/include/linux/sched.h"  # one file in both bundles


class Rotting:
    """Two pulled bundles, of which `one` is to rot, and a directory outside the cache."""

    def __init__(
        self, command: Command, devices: tuple[FakeDevice, FakeDevice], pulled: Path
    ) -> None:
        self.command = command
        self.devices = devices
        subprocess.run(["cp", "-a", pulled, command.cache], check=True)  # with its hard links
        self.other, self.one = Cache(command.cache).bundles()  # by name, 6.1.100 before 6.1.99
        self.outside = command.beside
        assert (self.one.path / SCHED).samefile(self.other.path / SCHED)

    def look(self, *arguments: str) -> tuple[int, str, str]:
        """Run `cache verify`, which must change nothing."""
        ended = self.command.looks(self.devices[0], "cache", "verify", *arguments)
        return ended.status, ended.out, ended.err

    def repair(self) -> tuple[int, dict[str, str]]:
        """Run `cache verify --repair`; return its status, and what came of each bundle by name."""
        ended = self.command.run(self.devices[0], "--json", "cache", "verify", "--repair")
        return ended.status, {b["bundle"]: b["outcome"] for b in json.loads(ended.out)["bundles"]}

    def pull_both(self) -> None:
        """Pull from both devices, and find what was there at first."""
        for device, bundle in zip(self.devices, (self.one, self.other), strict=True):
            pulled = self.command.pulls(device)
            assert pulled.path == bundle.path
            assert pulled.header_digests() == bundle.header_digests()
        assert self.look()[:2] == (0, "")


# What happens to a bundle's directory, the first argument; the second lies outside the cache.
Spoil = Callable[[Path, Path], object]


def each(*spoils: Spoil) -> Spoil:
    def spoil(bundle: Path, outside: Path) -> None:
        for one in spoils:
            one(bundle, outside)

    return spoil


def flip(name: str, at: float = 0.5) -> Spoil:
    """Flip one bit, and put the time back: no look at the file would show it."""

    def spoil(bundle: Path, outside: Path) -> None:
        path = bundle / name
        info, data = path.stat(), bytearray(path.read_bytes())
        data[int(len(data) * at)] ^= 1
        path.chmod(0o644)
        path.write_bytes(data)
        path.chmod(info.st_mode)
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))

    return spoil


def edit(name: str, old: bytes, new: bytes) -> Spoil:
    def spoil(bundle: Path, outside: Path) -> None:
        data = (bundle / name).read_bytes()
        assert data.count(old) == 1
        (bundle / name).write_bytes(data.replace(old, new))

    return spoil


def cut(name: str, size: int) -> Spoil:
    return lambda bundle, outside: os.truncate(bundle / name, size)


def drop(name: str) -> Spoil:
    return lambda bundle, outside: (bundle / name).rename(outside / "dropped")


def add(name: str) -> Spoil:
    return lambda bundle, outside: (bundle / name).write_text("x")


def lead(name: str, target: str = "") -> Spoil:
    """Have a link in the place of what was there, which is now where the link leads."""

    def spoil(bundle: Path, outside: Path) -> None:
        moved = (bundle / name).rename(outside / (bundle / name).name)
        (bundle / name).symlink_to(target or moved)

    return spoil


def says(data: bytes) -> Spoil:
    return lambda file, outside: file.write_bytes(data)


def close(name: str, mode: int = 0) -> Spoil:
    return lambda bundle, outside: (bundle / name).chmod(mode)
