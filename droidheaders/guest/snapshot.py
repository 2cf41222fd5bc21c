"""Snapshots: a guest that has booted, kept, so that the next ones begin where it was.

The guest's memory is a file that QEMU maps: shared while the guest boots that is kept, private in
each one restored. So nothing of it is copied, neither when it is saved nor when it is restored, and
pages that nobody writes to are there once for all guests. What remains, the state of the devices,
has half a megabyte and goes through QEMU's migration (x-ignore-shared, docs/devel/migration).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from droidheaders.debian.place import cache_dir
from droidheaders.errors import DroidheadersError
from droidheaders.guest import qemu
from droidheaders.guest.host import qemu_binary
from droidheaders.guest.image import Image
from droidheaders.guest.process import boot_id
from droidheaders.guest.qmp import Qmp

_FORMAT = 1
_MOST = 4 << 30  # bytes of all snapshots; one has 110 to 170 MB
_POLL = 0.002
_SETTLED = 0.5  # seconds after which a guest does nothing more that each restored one would repeat
_IN_TIME = 30.0  # seconds for saving; it takes 0.03
_CONNECTED = re.compile(r"TCP\[(?!HOST_FORWARD|TIME_WAIT|CLOSED)")
_SHARED = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}


@dataclass(frozen=True)
class Snapshot:
    """A guest that was saved: `key` says of what, `accel` on what; sizes are in bytes."""

    key: str
    accel: str
    boot_id: str
    memory_size: int
    state_size: int
    state_sha256: str


@dataclass(frozen=True)
class Slot:
    """Where the snapshot of an image and a persona is; what is changed about them replaces it."""

    name: str

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return directory() / self.name

    @property
    def memory(self) -> Path:
        """The guest's memory."""
        return self.directory / "memory"

    @property
    def state(self) -> Path:
        """What QEMU has to know beside the memory."""
        return self.directory / "state"

    @property
    def console(self) -> Path:
        """What the guest printed until it was saved."""
        return self.directory / "console.log"

    @property
    def making(self) -> Path:
        """Where it is before it is whole."""
        return directory() / f"{self.name}.new"

    @contextmanager
    def locked(self, *, exclusive: bool) -> Iterator[None]:
        """Keep others from replacing it, and with `exclusive` from reading it."""
        directory().mkdir(mode=0o700, parents=True, exist_ok=True)
        with (directory() / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield

    def read(self, key: str) -> Snapshot | None:
        """Return what is there, if it is of `key` and whole."""
        try:
            facts = json.loads((self.directory / "snapshot.json").read_text())
            found = Snapshot(**facts)
            state = self.state.read_bytes()
            size = self.memory.stat().st_size
            there = self.console.is_file()
        except (OSError, ValueError, TypeError):
            return None
        whole = there and size == found.memory_size and len(state) == found.state_size
        digest = hashlib.sha256(state).hexdigest()
        if found.key != key or not whole or digest != found.state_sha256:
            return None
        with suppress(OSError):
            os.utime(self.directory)  # used just now: see `prune`
        return found

    def discard(self) -> None:
        """Remove it, whatever is there."""
        shutil.rmtree(self.making, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def publish(self, key: str, accel: str, console: Path) -> None:
        """Put in place what was saved in `making`; raises OSError."""
        state = (self.making / "state").read_bytes()
        found = Snapshot(
            key=key,
            accel=accel,
            boot_id=boot_id(),
            memory_size=(self.making / "memory").stat().st_size,
            state_size=len(state),
            state_sha256=hashlib.sha256(state).hexdigest(),
        )
        shutil.copyfile(console, self.making / "console.log")
        (self.making / "snapshot.json").write_text(json.dumps(asdict(found), indent=2) + "\n")
        shutil.rmtree(self.directory, ignore_errors=True)
        self.making.rename(self.directory)


def directory() -> Path:
    """Return where all snapshots are."""
    return cache_dir() / "snapshots"


def slot(recipe: str, persona: str, machine: qemu.Machine) -> Slot:
    """Return where the snapshot of such a guest is, by what a person calls it."""
    words = f"{machine.kernel}\0{machine.memory}\0{machine.cpus}".encode()
    return Slot(f"{recipe}-{persona}-{hashlib.sha256(words).hexdigest()[:8]}")


def key_of(machine: qemu.Machine, image: Image, made: Path) -> str:
    """Return what a snapshot of `machine` is known by; what is below `made` was made just now.

    QEMU's version and what it boots, and this boot of the host: a snapshot is not flushed to the
    disk, where a crash of the host would leave the half of it.
    """
    boots = [_identity(path, made) for path in (image.kernel, *image.parts)]
    facts = [_FORMAT, qemu_version(machine.arch), boot_id(), machine.arch, machine.append]
    facts += [machine.memory, machine.cpus, qemu.accelerators(machine.arch), boots]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _identity(path: Path, made: Path) -> list[object]:
    """Return what changes when the file does: its content where it was made for this start."""
    if path.is_relative_to(made):
        with path.open("rb") as file:
            return [hashlib.file_digest(file, "sha256").hexdigest()]
    info = path.stat()
    return [str(path), info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]


@cache
def qemu_version(arch: str) -> str:
    """Return what QEMU says of its version; raises DroidheadersError when it does not run."""
    binary = qemu_binary(arch)
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise DroidheadersError(f"{binary} does not run: {error}", f"{binary} --version") from error
    return done.stdout.decode(errors="replace").splitlines()[0]


def has_room(memory: int) -> bool:
    """Tell whether the disk has room for a guest's `memory` in MB: else QEMU dies in mid-boot."""
    return shutil.disk_usage(directory()).free > (memory + 64) << 20


def save(monitor: Qmp, to: Path) -> None:
    """Stop the machine, whose memory is a file already, and write the rest of it to `to`.

    Raises OSError and ValueError when that fails, such as for a full disk.
    """
    _await_no_connection(monitor)
    time.sleep(_SETTLED)
    monitor.execute("stop")
    monitor.execute("migrate-set-capabilities", **_SHARED)
    monitor.execute("migrate", uri=f"exec:cat >{shlex.quote(str(to))}")
    deadline = time.monotonic() + _IN_TIME
    while True:
        told = monitor.execute("query-migrate")
        if told.get("status") == "completed":
            break
        if told.get("status") in ("failed", "cancelled") or time.monotonic() > deadline:
            raise ValueError(f"QEMU did not save it: {told.get('error-desc', told.get('status'))}")
        time.sleep(_POLL)
    monitor.execute("quit")


def _await_no_connection(monitor: Qmp) -> None:
    """Wait until the guest knows that adb has left: a restored adbd would wait for it for ever."""
    deadline = time.monotonic() + _IN_TIME
    while True:
        usernet = monitor.execute("human-monitor-command", **{"command-line": "info usernet"})
        if not _CONNECTED.search(usernet):
            return
        if time.monotonic() > deadline:
            raise ValueError(f"adb did not leave the guest: {usernet}")
        time.sleep(_POLL)


def load(monitor: Qmp, state: Path) -> None:
    """Have a machine that waits for it take the saved state, and go on.

    Raises OSError and ValueError when it does not.
    """
    monitor.execute("migrate-set-capabilities", **_SHARED)
    monitor.execute("migrate-incoming", uri=f"exec:cat {shlex.quote(str(state))}")
    deadline = time.monotonic() + _IN_TIME
    while monitor.execute("query-status")["status"] == "inmigrate":
        if time.monotonic() > deadline:
            raise ValueError("QEMU does not come to the end of it")
        time.sleep(_POLL)
    monitor.execute("cont")  # it was saved stopped, and would stay so


def prune(keep: Slot) -> None:
    """Remove snapshots of an earlier boot, and the ones used longest ago when all are too large."""
    left = _MOST
    found = [path for path in directory().iterdir() if (path / "snapshot.json").is_file()]
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        left -= sum(file.stat().st_blocks * 512 for file in _files(path))
        one = Slot(path.name)
        if one != keep and (left < 0 or _is_of_another_boot(path)):
            one.discard()


def _files(path: Path) -> Iterable[Path]:
    return [file for file in path.iterdir() if file.is_file()]


def _is_of_another_boot(path: Path) -> bool:
    try:
        facts = json.loads((path / "snapshot.json").read_text())
    except (OSError, ValueError):
        return True
    return not isinstance(facts, dict) or facts.get("boot_id") != boot_id()
