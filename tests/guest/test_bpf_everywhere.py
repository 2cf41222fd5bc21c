"""From a kernel's headers to a program that is seen to fire there, by the command line alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from droidheaders.adb import Server
from tests.bpf_sources import EACH, NESTED, RELOCATED
from tests.guest.running import Running, running
from tests.kernels import KERNELS

pytestmark = pytest.mark.guest

# The shell names the directory after itself, and is the parent of what makes it.
NAMED = "mkdir /data/local/tmp/by-$$; rmdir /data/local/tmp/by-$$"
PARENT = r"by-(\d+) is of \1$"
SAMPLE = r'^\{\.wanted = 77, \.comm = "mkdir"\}$'


@dataclass(frozen=True)
class Site:
    """A guest, and a host whose cache has what was pulled from it."""

    guest: Running
    kernel: str

    @property
    def place(self) -> Path:
        return self.guest.place

    def built(self, name: str, source: str, *flags: str) -> str:
        """Return the object that `build bpf` makes of a source for the guest's kernel."""
        path, out = self.place / f"{name}.bpf.c", self.place / f"{name}.bpf.o"
        path.write_text(source)
        self._done("build", "bpf", str(path), "-o", str(out), "--", "-Wall", "-Werror", *flags)
        return str(out)

    def pull(self) -> None:
        self._done("pull")

    def run(self, program: str, until: str, *arguments: str) -> list[str]:
        """Return what `run bpf` prints of an object that fires when the shell names itself."""
        words = ("--trigger", NAMED, "--until", until, "--for", "60")
        return self._done("run", "bpf", program, *words, *arguments).splitlines()

    def _done(self, *arguments: str) -> str:
        done = self.guest.run(*arguments)
        assert done.returncode == 0, done
        return done.stdout.decode()


@pytest.fixture(scope="module", params=KERNELS)
def site(
    request: pytest.FixtureRequest, adb: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    place = tmp_path_factory.mktemp("everywhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROIDHEADERS_STATE", str(place / "state"))
        patch.setenv("DROIDHEADERS_CACHE", str(place / "cache"))
        with running(request.param, "su", adb, place) as guest:
            found = Site(guest, request.param)
            found.pull()
            yield found
            assert guest.left() == ""


def test_fields_of_structures_in_structures(site: Site) -> None:
    """By the kernel's own headers, and the values are what the trigger knows."""
    site.run(site.built("nested", NESTED), PARENT)


def test_each_way_to_be_attached_and_heard(site: Site) -> None:
    """Events of 5.10, too, though it has ring buffers, are heard by the older perf buffer."""
    perf = site.kernel.startswith("5.10")
    program = site.built("each", EACH, *(["-DPERF"] if perf else []))
    lines = site.run(
        *(program, "uprobe of rmdir", "--expect", "raw of exec", "--expect", SAMPLE),
        *("--set", "wanted=77", "--map", "counts=1:40", "--map", "counts=9:5", "--map", "counts"),
    )
    assert {"counts[1] = 41", "counts[9] = 5"} <= set(lines)
    assert {"counts[2]", "counts[3]"} <= {line.partition(" =")[0] for line in lines}


def test_relocated_by_the_kernels_own_types(site: Site) -> None:
    site.run(site.built("own", RELOCATED), PARENT)


def test_relocated_by_types_made_from_headers(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By them the program is compiled, and by them it is loaded."""
    monkeypatch.setenv("DROIDHEADERS_CACHE", str(tmp_path))
    site.guest.root("mount -t tmpfs none /sys/kernel/btf")
    try:
        site.pull()
        site.run(site.built("made", RELOCATED), PARENT)
    finally:
        site.guest.root("umount /sys/kernel/btf")
