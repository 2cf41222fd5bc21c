"""BPF objects of tests/bpf, compiled here, and a loader that runs them on a device."""

from __future__ import annotations

import io
import lzma
import re
import shlex
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from droidheaders.adb import Device
from droidheaders.adb.root import Root
from droidheaders.debian.arch import MACHINE, TRIPLE
from droidheaders.debian.place import cache_dir
from droidheaders.debian.sysroot import sysroot
from droidheaders.run import loader
from droidheaders.run.events import Event
from droidheaders.run.loader import Loader
from droidheaders.run.tools import compiler

SOURCES = Path(__file__).parent / "bpf"
PLACE = "/data/local/tmp"
PATIENCE = 60.0


@cache
def compiled(name: str, arch: str) -> bytes:
    """Return the object of tests/bpf/NAME.c for devices of `arch`."""
    include = sysroot(arch) / "usr/include"
    command = [
        *("clang", "--target=bpf", "-O2", "-g", "-Wall", "-Werror", "-c", "-o", "-"),
        *(f"-D__TARGET_ARCH_{'arm64' if arch == 'arm64' else 'x86'}", f"-I{include}"),
        *(f"-I{include / TRIPLE[arch]}", str(SOURCES / f"{name}.c")),
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@cache
def target(arch: str) -> bytes:
    """Return the program of tests/bpf/target.c for devices of `arch`."""
    with tempfile.TemporaryDirectory() as place:
        program = Path(place) / "target"
        command = [*compiler(arch, "a test"), "-O2", "-static", "-o", str(program)]
        subprocess.run([*command, str(SOURCES / "target.c")], check=True)
        return program.read_bytes()


@cache
def packaged_module(release: str, name: str) -> bytes:
    """Return a module of the package that a guest's kernel was made of."""
    (package,) = (cache_dir() / "archives").glob(f"linux-image-{release}_*.deb")
    listing = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", str(package)], capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(listing)) as tar:
        for member in tar:
            if member.name.endswith((f"/{name}.ko", f"/{name}.ko.xz")):
                file = tar.extractfile(member)
                assert file
                data = file.read()
                return lzma.decompress(data) if member.name.endswith(".xz") else data
    raise AssertionError(f"{package.name} has no {name}")


class Place:
    """A device with the loader on it."""

    def __init__(self, device: Device, root: Root) -> None:
        self.device = device
        self.root = root
        self.arch = MACHINE[self.said("uname -m").strip()]
        self._pushed: set[str] = set()
        device.push(loader.build(self.arch), f"{PLACE}/loader", mode=0o755)

    def said(self, script: str) -> str:
        """Return what root says to a script, which must not fail."""
        result = self.root.shell(script, timeout=PATIENCE)
        assert result.status == 0, result
        return result.stdout.decode()

    def insert(self, *modules: str) -> None:
        """Load modules of the guest's own kernel package, which its image lacks."""
        release = self.said("uname -r").strip()
        for module in modules:
            self.device.push(packaged_module(release, module), f"{PLACE}/{module}.ko")
            self.said(f"insmod {PLACE}/{module}.ko && rm {PLACE}/{module}.ko")

    def push(self, name: str) -> str:
        """Return where the object NAME is on the device."""
        path = f"{PLACE}/{name}.o"
        if name not in self._pushed:
            self.device.push(compiled(name, self.arch), path)
            self._pushed.add(name)
        return path

    def push_target(self) -> None:
        """Put the program of tests/bpf/target.c to PLACE/target."""
        if "target" not in self._pushed:
            self.device.push(target(self.arch), f"{PLACE}/target", mode=0o755)
            self._pushed.add("target")

    @contextmanager
    def loading(self, name: str, before: str = "", **options: Any) -> Iterator[Running]:
        """Give a loader of the object NAME that has just been started, by the words `before`."""
        words = loader.words(f"{PLACE}/loader", self.push(name), **options)
        with self.root.session(f"exec {before} {shlex.join(words)}") as session:
            yield Running(Loader(session))

    def run(self, name: str, trigger: str = "", **options: Any) -> list[dict[str, Any]]:
        """Return all that a loader says of an object while `trigger` is run."""
        with self.loading(name, **options) as running:
            running.until("ready")
            if trigger and not running.of("error"):
                self.said(trigger)
            return running.end()


class Running:
    """What a loader has said so far."""

    def __init__(self, running: Loader) -> None:
        self.loader = running
        self.events: list[dict[str, Any]] = []

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def until(self, kind: str) -> dict[str, Any] | None:
        """Return the first event of a kind, waiting for it; None when the loader ended."""
        deadline = time.monotonic() + PATIENCE
        while not (found := self.of(kind)):
            if self.loader.status is not None:
                return None
            assert time.monotonic() < deadline, self.events[-5:]
            self._take(self.loader.read(1.0))
        return found[0]

    def end(self) -> list[dict[str, Any]]:
        """Close its stdin, and return all that it has said in all."""
        if self.loader.status is None:
            self.loader.close_stdin()
        return self.rest()

    def rest(self) -> list[dict[str, Any]]:
        deadline = time.monotonic() + PATIENCE
        while self.loader.status is None:
            assert time.monotonic() < deadline, self.events[-5:]
            self._take(self.loader.read(1.0))
        assert not self.loader.stderr, self.loader.stderr
        assert self.loader.passed_over == 0
        return self.events

    def _take(self, events: Sequence[Event]) -> None:
        self.events += [dict(event) for event in events]


def of(events: list[dict[str, Any]], kind: str, **fields: object) -> list[dict[str, Any]]:
    """Return those events of a kind which have these fields."""
    return [
        event
        for event in events
        if event["type"] == kind and all(event.get(name) == it for name, it in fields.items())
    ]


def variables(events: list[dict[str, Any]], section: str = ".bss") -> dict[str, int]:
    """Return the numbers of a section's variables at the end, by their names."""
    (dumped,) = of(events, "map", name=section)
    (entry,) = dumped["entries"]
    return {name: int(n) for name, n in re.findall(r"(\w+) = (-?\d+)", entry["value_text"])}
