"""The userland as an archive: who owns what, and when it is built anew."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import NamedTuple

import pytest

from droidheaders.debian.arch import TRIPLE
from droidheaders.errors import DroidheadersError
from droidheaders.guest import userland

ARCHES = ("arm64", "x86_64")


class Entry(NamedTuple):
    mode: int
    uid: int
    gid: int
    data: bytes


def entries(archive: bytes) -> dict[str, Entry]:
    """Read newc: 6 bytes of magic, 13 fields of 8 hex digits, name and data padded to four."""
    found: dict[str, Entry] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, uid, gid, size, name_size = fields[1], fields[2], fields[3], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        at = at + 110 + name_size + -(110 + name_size) % 4
        if name == "TRAILER!!!":
            return found
        found[name] = Entry(mode, uid, gid, archive[at : at + size])
        at += size + -size % 4


def packages(root: Path, arch: str) -> Path:
    """What `build` takes from packages, each file holding its own name."""
    triple, musl = TRIPLE[arch], userland._MUSL[arch]
    paths = [
        f"lib/{triple}/{Path(userland._LOADER[arch]).name}",
        *(f"usr/lib/{triple}/{name}" for name in userland._LIBRARIES),
        *(f"usr/lib/{triple}/android/{name}" for name in userland._ANDROID_LIBRARIES),
        "usr/lib/android-sdk/platform-tools/adbd",
        "bin/toybox",
        "bin/busybox",
        f"usr/lib/{musl}/bin/mksh",
    ]
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


@pytest.mark.parametrize("arch", ARCHES)
def test_the_archive_is_an_android_and_the_same_each_time(arch: str, tmp_path: Path) -> None:
    root = packages(tmp_path / "root", arch)
    first = userland.build(arch, root, tmp_path / "first")
    second = userland.build(arch, root, tmp_path / "second")
    assert first.read_bytes() == second.read_bytes()

    found = entries(first.read_bytes())
    assert found["system/bin/sh"].data.endswith(b"mksh")
    assert found["system/bin/ls"].data == b"toybox"
    assert found["bin"].data == b"/system/bin"
    for su in ("system/bin/su", "system/xbin/su"):
        assert found[su][:3] == (stat.S_IFREG | 0o4750, 0, 2000)
    assert found["data/local/tmp"][:3] == (stat.S_IFDIR | 0o771, 2000, 2000)
    assert stat.S_ISCHR(found["dev/console"].mode)
    properties = found["system/build.prop"].data.decode()
    assert f"ro.product.cpu.abi={'arm64-v8a' if arch == 'arm64' else arch}\n" in properties
    assert "@" not in properties
    machine = {"arm64": 183, "x86_64": 62}[arch]  # e_machine of elf(5)
    assert int.from_bytes(found["init"].data[18:20], "little") == machine
    for persona in userland.PERSONAS:
        assert f"system/etc/personas/{persona}.prop" in found
    directories = {name for name, entry in found.items() if stat.S_ISDIR(entry.mode)}
    seen: set[str] = set()
    for name in found:  # the kernel drops an entry whose parent is not there yet
        parent = name.rpartition("/")[0]
        assert not parent or parent in seen & directories
        seen.add(name)


def test_a_package_without_its_file_is_named(tmp_path: Path) -> None:
    root = packages(tmp_path, "arm64")
    (root / "bin/toybox").unlink()
    with pytest.raises(DroidheadersError, match="arm64 guests lack bin/toybox"):
        userland.build("arm64", root, tmp_path / "out")


def test_the_fingerprint_changes_with_every_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "userland/src/init.c"
    source.parent.mkdir(parents=True)
    source.write_text("one")
    monkeypatch.setattr(userland, "emulator_dir", lambda: tmp_path)
    first = userland.fingerprint("arm64")
    assert first == userland.fingerprint("arm64")
    assert first != userland.fingerprint("x86_64")
    source.write_text("two")
    assert first != userland.fingerprint("arm64")
