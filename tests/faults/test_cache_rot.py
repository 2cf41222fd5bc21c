"""A cache that has rotted: found, nothing changed; then whole again or gone; then of use again.

Two bundles of neighbouring kernels share files, so that rot in one may be rot in both.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from droidheaders import pull
from droidheaders.adb import Endpoint, Server
from droidheaders.cache import Bundle, Cache
from tests.archives import GOOD, RELEASE, tar, xz
from tests.fake_device import FakeDevice
from tests.faults.command import Command
from tests.faults.rights import bound_by_modes
from tests.faults.rotting import (
    SCHED,
    Rotting,
    Spoil,
    add,
    close,
    cut,
    drop,
    each,
    edit,
    flip,
    lead,
    says,
)

LINKS = {"include/linux/task.h": "sched.h"}
NEXT = "6.1.100-test"
TASK = "headers/include/linux/task.h"  # a link
OWN = "headers/include/own.h"  # with another content in each


def archive(release: str) -> bytes:
    files = {
        **GOOD,
        "include/generated/utsrelease.h": f'#define UTS_RELEASE "{release}"\n'.encode(),
        "include/own.h": release.encode() * 9,
    }
    return xz(tar(files, links=LINKS))


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeDevice, FakeDevice]]:
    home = tmp_path_factory.mktemp("rot")
    with (
        FakeDevice(home / "one", archive(RELEASE), loaded=True) as one,
        FakeDevice(
            home / "other", archive(NEXT), release=NEXT, build_id=b"n" * 20, loaded=True
        ) as other,
    ):
        for device in (one, other):
            device.write("proc/config.gz", gzip.compress(b"CONFIG_IKHEADERS=m\n", mtime=0))
        yield one, other


@pytest.fixture(scope="module")
def pulled(
    devices: tuple[FakeDevice, FakeDevice], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a cache with the bundles of both, for each test to copy."""
    cache = Cache(tmp_path_factory.mktemp("pulled"))
    for device in devices:
        pull(Server(Endpoint("127.0.0.1", device.port)).select(), cache)
    return cache.root


@pytest.fixture
def rotting(command: Command, devices: tuple[FakeDevice, FakeDevice], pulled: Path) -> Rotting:
    return Rotting(command, devices, pulled)


WHOLE, AGAIN, GONE = "sound", "repaired", "removed"
LINK = "is a link that was not there"
NO_JSON = "bundle.json cannot be read, or is another's"


@dataclass(frozen=True)
class Rot:
    """What happens to a bundle, what is said of it, and what a repair makes of it and the other.

    `bound` says that it takes somebody whom modes bind, unlike root.
    """

    spoil: Spoil
    says: str
    one: str = AGAIN
    other: str = WHOLE
    bound: bool = False


ROT = {
    "a header's bit": Rot(flip(SCHED), f"{SCHED} has changed", AGAIN, AGAIN),
    "an own header's bit": Rot(flip(OWN), f"{OWN} has changed"),
    "a header cut": Rot(cut(SCHED, 3), f"{SCHED} has changed", AGAIN, AGAIN),
    "a header gone": Rot(drop(SCHED), f"{SCHED} is gone"),
    "a header more": Rot(add("headers/a.h"), "headers/a.h was not there"),
    "a file more": Rot(add("core"), "core was not there"),
    "a header led outside": Rot(lead(SCHED), f"{SCHED} {LINK}"),
    "a link led outside": Rot(
        lead("headers/include/linux/task.h", "/etc/passwd"), f"task.h {LINK}"
    ),
    "a directory led outside": Rot(lead("headers/include"), f"headers/include {LINK}"),
    "all headers led outside": Rot(lead("headers"), f"headers {LINK}"),
    "a manifest's digest": Rot(flip("manifest", 0), "archive.tar.xz has changed"),
    "a manifest's name": Rot(
        edit("manifest", b"  headers/include/own.h", b"  ../../../own.h"), "../../../own.h is gone"
    ),
    "half a manifest": Rot(cut("manifest", 100), "manifest cannot be read"),
    "a manifest led outside": Rot(lead("manifest"), f"manifest {LINK}"),
    "bundle.json's text": Rot(
        edit("bundle.json", b"gcc-12", b"gcc-13"), "bundle.json has changed", GONE
    ),
    "bundle.json's key": Rot(edit("bundle.json", b'"kernel": {', b'"kernal": {'), NO_JSON, GONE),
    "half a bundle.json": Rot(cut("bundle.json", 99), NO_JSON, GONE),
    "bundle.json led outside": Rot(lead("bundle.json"), f"bundle.json {LINK}", GONE),
    "the archive's bit": Rot(flip("archive.tar.xz"), "archive.tar.xz has changed"),
    "the archive and a shared header": Rot(
        each(flip("archive.tar.xz"), flip(SCHED)), f"{SCHED} has changed", GONE, AGAIN
    ),
    "no archive and a header": Rot(
        each(drop("archive.tar.xz"), flip(OWN)), "archive.tar.xz is gone", GONE
    ),
    "the config's bit": Rot(flip("config"), "config has changed"),
    "a file for a bundle": Rot(each(drop(""), add("")), NO_JSON, GONE),
    "a bundle led outside": Rot(lead(""), NO_JSON, GONE),
    "a bundle led nowhere": Rot(lead("", "nowhere"), NO_JSON, GONE),
    "a bundle closed": Rot(close(""), NO_JSON, GONE, bound=True),
    "a bundle not to be listed": Rot(close("", 0o311), ". cannot be read", GONE, bound=True),
    "a directory closed": Rot(
        close("headers/include/linux"), "headers/include/linux cannot be read", bound=True
    ),
    "all headers closed": Rot(close("headers", 0o444), "headers cannot be read", bound=True),
    "a header closed": Rot(close(OWN), f"{OWN} has changed", bound=True),
}


@pytest.mark.parametrize("rot", [pytest.param(rot, id=name) for name, rot in ROT.items()])
def test_rot(rotting: Rotting, rot: Rot) -> None:
    one, other = rotting.one, rotting.other
    rot.spoil(one.path, rotting.outside)
    rotting.command.during = bound_by_modes if rot.bound else nullcontext
    ends = {one.name: rot.one, other.name: rot.other}
    found = "".join(f"{name}\n" for name, end in sorted(ends.items()) if end != WHOLE)
    for arguments in ((), ("--repair", "--dry-run"), (one.name,)):
        status, out, err = rotting.look(*arguments)
        assert (status, out) == (5, f"{one.name}\n" if one.name in arguments else found)
        assert f"{one.name}: " in err
        assert rot.says in err
        assert err.splitlines()[-1] == "hint: droidheaders cache verify --repair"
    assert rotting.repair() == (5 if rot.one == GONE else 0, ends)
    assert one.path.exists() == (rot.one != GONE)
    assert rotting.look()[0] == 0
    rotting.pull_both()


@pytest.mark.parametrize("name", ["archive.tar.xz", "config"])
def test_what_cannot_be_made_again_is_said_to_be_missing(rotting: Rotting, name: str) -> None:
    flip(name)(rotting.one.path, rotting.outside)
    assert rotting.repair()[0] == 0
    repaired = Bundle.load(rotting.one.path)
    assert repaired
    assert repaired.meta["warnings"] == [f"{name} was damaged, and is left out"]
    assert not (repaired.path / name).exists()
    rotting.command.pulls(rotting.devices[0], "--refresh")
    again = Bundle.load(rotting.one.path)
    assert again
    assert again.meta["warnings"] == []
    assert (again.path / name).exists()


def test_headers_made_again_are_not_said_to_be_missing(rotting: Rotting) -> None:
    lead("headers")(rotting.one.path, rotting.outside)
    assert rotting.repair()[0] == 0
    repaired = Bundle.load(rotting.one.path)
    assert repaired
    assert repaired.meta["warnings"] == []


@pytest.mark.parametrize("rot", ["half a bundle.json", "bundle.json's key", "a bundle led nowhere"])
def test_a_pull_beside_rot(rotting: Rotting, rot: str) -> None:
    """What is rotten is looked at for files to share, and must neither help nor hinder."""
    ROT[rot].spoil(rotting.one.path, rotting.outside)
    for device in rotting.devices[::-1]:  # the rotten one's own last, which puts it right
        ended = rotting.command.looks(device, "cache", "list")
        assert ended.status == 0
        assert rotting.one.name not in ended.out
        refreshed = rotting.command.tries(device, "pull", "--refresh")
        assert refreshed.status == 0, refreshed.err
    rotting.pull_both()


# The index only says where to look: whatever becomes of it, the worst is a transfer too many.

INDEX: dict[str, Spoil] = {
    "empty": cut("", 0),
    "half": cut("", 30),
    "garbage": says(b"\xff\0\x1b[31m"),
    "a list": says(b"[]"),
    "upwards": says(b'{"schema": 1, "bundle": "../.."}'),
    "outside": says(b'{"schema": 1, "bundle": "/etc"}'),
    "hidden": says(b'{"schema": 1, "bundle": "."}'),
    "nowhere": says(b'{"schema": 1, "bundle": "gone"}'),
    "led outside": lead(""),
    "led nowhere": lead("", "nowhere"),
    "gone": drop(""),
}


def entry_of(cache: Path, bundle: Bundle) -> Path:
    [found] = [e for e in (cache / "index").iterdir() if bundle.name in e.read_text()]
    return found


@pytest.mark.parametrize("rot", INDEX)
def test_rot_in_the_index(rotting: Rotting, rot: str) -> None:
    INDEX[rot](entry_of(rotting.command.cache, rotting.one), rotting.outside)
    assert rotting.look()[:2] == (0, "")
    ended = rotting.repair()
    assert ended == (0, {rotting.one.name: WHOLE, rotting.other.name: WHOLE})
    found_again(rotting)


def test_an_index_that_leads_to_another_kernel(rotting: Rotting) -> None:
    """Its bundle is sound, and the wrong one to give out."""
    entry = entry_of(rotting.command.cache, rotting.one)
    edit("", rotting.one.name.encode(), rotting.other.name.encode())(entry, rotting.outside)
    found_again(rotting)


def found_again(rotting: Rotting) -> None:
    """Pull what the index may have lost, and see that it is in the index again."""
    rotting.pull_both()
    rotting.devices[0].scripts.clear()
    rotting.pull_both()
    assert len(rotting.devices[0].scripts) == 1  # it was found, and not transferred


@pytest.mark.parametrize("mode", [0, 0o311])
def test_a_cache_that_cannot_be_read(rotting: Rotting, mode: int) -> None:
    kernels = rotting.command.cache / "kernels"
    kernels.chmod(mode)
    rotting.command.during = bound_by_modes
    for arguments in (("list",), ("verify",), ("verify", "--repair"), ("prune", "--keep", "0")):
        ended = rotting.command.looks(rotting.devices[0], "cache", *arguments)
        assert (ended.status, ended.out) == (1, ""), ended.err
        assert f"cannot read the cache at {rotting.command.cache}: Permission denied" in ended.err
    kernels.chmod(0o755)
    rotting.pull_both()
