"""Guests that begin where another was: as fresh as one that booted, and several at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from droidheaders.adb import Selector, Server
from droidheaders.debian.place import cache_dir
from droidheaders.errors import DroidheadersError
from droidheaders.guest import image, instance, process, recipes, restoring, snapshot
from droidheaders.guest.guest import Guest

pytestmark = pytest.mark.guest

ARM, X86 = "6.1-arm64", "6.1-x86_64"
BOTH = pytest.mark.parametrize("recipe", [ARM, X86])


@pytest.fixture(autouse=True)
def place(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of our own for snapshots, beside everybody's."""
    where = tmp_path / "snapshots"
    monkeypatch.setattr(snapshot, "directory", lambda: where)
    return where


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The snapshots that are made, in their order."""
    names: list[str] = []
    make = restoring._make

    def noted(saving: restoring.Saving) -> bool:
        names.append(saving.slot.name)
        return make(saving)

    monkeypatch.setattr(restoring, "_make", noted)
    return names


def shell(adb: Server, guest: Guest, script: str) -> str:
    return adb.select(Selector(serial=guest.serial)).shell(script).stdout.decode()


def nothing_is_left(adb: Server) -> bool:
    return instance.instances() == [] and adb.devices() == []


@BOTH
def test_each_is_as_if_it_had_just_booted(adb: Server, made: list[str], recipe: str) -> None:
    random = "cat /proc/sys/kernel/random/uuid; head -c 16 /dev/urandom | od -An -tx1"
    with Guest.fresh(recipe, server=adb) as first:
        assert "kheaders" not in shell(adb, first, "cat /proc/modules")
        shell(adb, first, "echo dirt >/data/local/tmp/dirt; su 0 insmod kheaders")
        seen = shell(adb, first, random)
    assert nothing_is_left(adb)
    time.sleep(1.1)  # the clock would be behind by that, too
    with Guest.fresh(recipe, server=adb) as second:
        before = time.time()
        there = float(shell(adb, second, "date +%s.%N"))
        assert before - 0.1 < there < time.time() + 0.1
        assert shell(adb, second, "ls /data/local/tmp") == ""
        assert not set(seen.split("\n")[:2]) & set(shell(adb, second, random).split("\n")[:2])
        assert "Linux version" in second.instance.console.read_text()  # its boot is in its console
        assert instance.find(second.serial).state == "running"
    assert len(made) == 1


def test_several_of_one_at_once(adb: Server, made: list[str], place: Path) -> None:
    """All of them wait for the one that makes the snapshot, and use the same memory."""
    with ThreadPoolExecutor(4) as pool:
        guests = [*pool.map(lambda _: Guest.fresh(ARM, server=adb), range(4))]
    try:
        assert len({guest.serial for guest in guests}) == 4
        said = {shell(adb, guest, "cat /proc/sys/kernel/random/uuid") for guest in guests}
        assert len(said) == 4
        [slot] = [path for path in place.iterdir() if path.is_dir()]
        maps = [Path(f"/proc/{one.instance.pid}/maps").read_text() for one in guests]
        assert all(f"{slot}/memory" in text for text in maps)
        before = (slot / "memory").stat().st_mtime_ns
        shell(adb, guests[0], "dd if=/dev/zero of=/data/local/tmp/zero bs=1M count=32 2>/dev/null")
        assert (slot / "memory").stat().st_mtime_ns == before
    finally:
        for guest in guests:
            guest.stop()
    assert made == [slot.name]
    assert nothing_is_left(adb)


def test_what_boots_otherwise_has_another_snapshot(adb: Server, made: list[str]) -> None:
    for how in ({}, {"persona": "user"}, {"memory": 640}, {"cpus": 1}, {}):
        with Guest.fresh(ARM, server=adb, **how) as guest:
            assert shell(adb, guest, "getprop ro.build.type").strip() in ("user", "userdebug")
    assert len(made) == len(set(made)) == 4


def test_a_kernel_that_was_built_again_is_booted(
    adb: Server, made: list[str], tmp_path: Path
) -> None:
    built = image.setup(recipes.load(ARM))
    own = tmp_path / "Image"
    tree = tmp_path / built.release
    tree.mkdir()
    subprocess.run(
        ["cpio", "-id", "--quiet"], input=built.parts[1].read_bytes(), cwd=tree, check=True
    )
    (tree / "boot-modules").rename(tree / "kernel")
    make = partial(image.custom, own, recipes.load(ARM), modules_dir=tree)
    for _ in range(2):
        own.write_bytes(built.kernel.read_bytes())
        for _ in range(2):
            with Guest.fresh(ARM, server=adb, make=make) as guest:
                assert shell(adb, guest, "uname -r").strip() == built.release
    assert len(made) == 2


def _edit(slot: Path, key: str, value: object) -> None:
    facts = json.loads((slot / "snapshot.json").read_text())
    assert key in facts
    (slot / "snapshot.json").write_text(json.dumps(facts | {key: value}))


def _lie(slot: Path) -> None:
    """Have the state be of another machine, and say that it is whole."""
    import hashlib

    data = (slot / "state").read_bytes().replace(b"cortex-a72", b"cortex-a53").replace(b"\0", b"\1")
    (slot / "state").write_bytes(data)
    _edit(slot, "state_sha256", hashlib.sha256(data).hexdigest())


def _blank(slot: Path) -> None:
    """Have a memory in which nothing is."""
    size = (slot / "memory").stat().st_size
    with (slot / "memory").open("wb") as file:
        file.truncate(size)


BROKEN: dict[str, Callable[[Path], object]] = {
    "memory cut off": lambda slot: os.truncate(slot / "memory", 1 << 20),
    "state cut off": lambda slot: os.truncate(slot / "state", 1000),
    "no memory": lambda slot: (slot / "memory").unlink(),
    "no record": lambda slot: (slot / "snapshot.json").write_text("{"),
    "another boot of the host": lambda slot: _edit(slot, "key", "0" * 64),
    "a state that QEMU refuses": _lie,
    "a memory of zeros": _blank,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_one_is_made_anew(
    adb: Server, made: list[str], place: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(restoring, "_PATIENCE", 8.0)
    with Guest.fresh(ARM, server=adb):
        pass
    [slot] = [path for path in place.iterdir() if path.is_dir()]
    BROKEN[how](slot)
    with Guest.fresh(ARM, server=adb) as guest:
        assert shell(adb, guest, "echo here") == "here\n"
    assert made == [slot.name] * 2
    assert nothing_is_left(adb)


def test_another_qemu_has_another_snapshot(
    adb: Server, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Guest.fresh(ARM, server=adb):
        pass
    monkeypatch.setattr(snapshot, "qemu_version", lambda arch: "QEMU emulator version 99")
    with Guest.fresh(ARM, server=adb):
        pass
    assert len(made) == 2


@pytest.fixture
def small(place: Path) -> Iterator[Path]:
    """A disk that the memory of a guest does not fit on."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("foreseen", [True, False])
def test_without_room_it_boots(
    adb: Server,
    small: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    foreseen: bool,
) -> None:
    if not foreseen:  # others fill the disk meanwhile
        monkeypatch.setattr(snapshot, "has_room", lambda memory: True)
    with Guest.fresh(ARM, server=adb) as guest:
        assert shell(adb, guest, "echo here") == "here\n"
    said = capsys.readouterr().err
    assert re.search("no snapshot of 6.1-arm64-userdebug-.*(no room|disk was full)", said), said
    assert [path.name for path in small.iterdir() if path.is_dir()] == []
    assert nothing_is_left(adb)


def test_one_that_cannot_be_kept_when_asked_for(adb: Server, small: Path) -> None:
    with pytest.raises(DroidheadersError, match=r"no snapshot of 6.1-arm64-userdebug-.* be kept"):
        Guest.save(ARM, server=adb)
    assert nothing_is_left(adb)


def test_the_least_used_make_room(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = [snapshot.Slot(f"{number}") for number in range(4)]
    for age, slot in enumerate(slots):
        slot.directory.mkdir(parents=True)
        slot.memory.write_bytes(b"x" * 8192)
        boot = "another" if age == 1 else process.boot_id()
        (slot.directory / "snapshot.json").write_text(json.dumps({"boot_id": boot}))
        os.utime(slot.directory, (1000 - age, 1000 - age))
    monkeypatch.setattr(snapshot, "_MOST", 3 * 12288)
    snapshot.prune(slots[0])
    assert [slot.name for slot in slots if slot.directory.exists()] == ["0", "2"]
    monkeypatch.setattr(snapshot, "_MOST", 1)
    snapshot.prune(slots[2])
    assert [slot.name for slot in slots if slot.directory.exists()] == ["2"]


def test_the_command_line(
    adb: Server, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for entry in cache_dir().iterdir():
        if entry.name != "snapshots":
            (cache / entry.name).symlink_to(entry)
    monkeypatch.setenv("DROIDHEADERS_GUEST_CACHE", str(cache))
    command = [sys.executable, "-m", "droidheaders", "-P", str(adb.endpoint.port), "emulator"]
    run = partial(subprocess.run, capture_output=True, text=True, check=True)
    kept = Path(run([*command, "snapshot", ARM]).stdout.strip())
    assert kept.parent == cache / "snapshots"
    before = (kept / "snapshot.json").stat().st_ino
    serial = run([*command, "start", ARM, "--from-snapshot"]).stdout.strip()
    assert adb.select(Selector(serial=serial)).shell("echo here").stdout == b"here\n"
    assert run([*command, "stop", serial]).stdout == ""
    assert (kept / "snapshot.json").stat().st_ino == before
    run([*command, "snapshot", ARM])
    assert (kept / "snapshot.json").stat().st_ino != before
    assert nothing_is_left(adb)
