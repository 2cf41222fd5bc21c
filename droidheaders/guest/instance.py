"""Instances: guests that were started, each one directory that every process can read."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from droidheaders.errors import UsageError
from droidheaders.guest import process
from droidheaders.guest.data import state_dir
from droidheaders.state import own_directory

_FAILED = "failed"
_KEPT = 10


@dataclass(frozen=True)
class Instance:
    """What is known about a guest. `pid` is QEMU's; while `port` is 0, the starter's.

    `claim` is what no other has, of the same name before it or after it.
    """

    name: str
    recipe: str
    arch: str
    persona: str
    pid: int
    started: int
    boot_id: str
    port: int = 0
    accel: str = ""
    server_host: str = ""
    server_port: int = 0
    ready: bool = False
    claim: str = ""

    @property
    def serial(self) -> str:
        """What adb calls the guest."""
        return f"127.0.0.1:{self.port}"

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return state_dir() / self.name

    @property
    def console(self) -> Path:
        """The file its serial console goes to."""
        return self.directory / "console.log"

    @property
    def alive(self) -> bool:
        """Whether the process is still there."""
        return self.boot_id == process.boot_id() and process.is_alive(self.pid, self.started)

    @property
    def state(self) -> str:
        """In a word: running, starting, or stale when nothing is behind it any more."""
        if not self.alive:
            return "stale"
        return "running" if self.ready else "starting"

    def save(self) -> None:
        """Write the record, whole or not at all."""
        new = self.directory / f"instance.json.{os.getpid()}"
        new.write_text(json.dumps(asdict(self), indent=2) + "\n")
        new.rename(self.directory / "instance.json")

    def forget(self) -> None:
        """Remove the directory, unless it is another's by now: one that is stale makes room."""
        with contextlib.suppress(FileNotFoundError), _locked():  # all of the state is gone
            now = read(self.name)
            if now is None or now.claim == self.claim:
                shutil.rmtree(self.directory, ignore_errors=True)

    def keep_console(self) -> Path:
        """Move the console out of the directory to where it outlives it, and return its path.

        QEMU's own words are put in front; of older ones the last few are kept.
        """
        place = state_dir() / _FAILED
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = place / f"{self.name}-{time.strftime('%Y%m%d-%H%M%S')}-{self.pid}.log"
        with kept.open("wb") as out:
            for part in (self.directory / "qemu.log", self.console):
                with contextlib.suppress(FileNotFoundError):
                    out.write(part.read_bytes())
        for old in sorted(place.glob("*.log"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            old.unlink(missing_ok=True)
        return kept


def claim(recipe: str, arch: str, persona: str) -> Instance:
    """Return a new instance with a directory of its own, named after the recipe.

    Another one of the same recipe gets -2, -3 and so on; what is stale makes room. Raises
    DroidheadersError when the directory is not ours to write.
    """
    own_directory(state_dir(), "guests are")
    with _locked():
        for name in _names(recipe):
            place = state_dir() / name
            old = _read(place)
            if old and old.state != "stale":
                continue
            if old:
                old.keep_console()
            # without a record: the rest of a starter that died just here
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(mode=0o700)
            mine = Instance(
                name=name,
                recipe=recipe,
                arch=arch,
                persona=persona,
                pid=os.getpid(),
                started=process.start_time(os.getpid()) or 0,
                boot_id=process.boot_id(),
                claim=os.urandom(8).hex(),
            )
            mine.save()
            return mine
    raise AssertionError("names do not end")


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Hold off who would give the same name to another, or take it away."""
    with (state_dir() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _names(recipe: str) -> Iterator[str]:
    yield recipe
    for number in itertools.count(2):
        yield f"{recipe}-{number}"


def instances() -> list[Instance]:
    """Return all instances, running and stale, by name."""
    try:
        places = sorted(state_dir().iterdir())
    except FileNotFoundError:
        return []
    found = (_read(place) for place in places if not place.name.startswith("."))
    return [instance for instance in found if instance]


def find(name: str) -> Instance:
    """Return the instance with this name or serial; raises UsageError naming those there are."""
    everything = instances()
    for instance in everything:
        if name in {instance.name, instance.serial}:
            return instance
    there = ", ".join(instance.name for instance in everything) or "none"
    raise UsageError(
        f"there is no guest {name!r} (there are: {there})", hint="droidheaders emulator list"
    )


def read(name: str) -> Instance | None:
    """Return what the record of `name` says now, if there is one."""
    return _read(state_dir() / name)


def _read(place: Path) -> Instance | None:
    try:
        facts = json.loads((place / "instance.json").read_text())
        instance = Instance(**facts)
    except (OSError, ValueError, TypeError):
        return None
    return instance if instance.name == place.name else None
