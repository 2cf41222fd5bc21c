"""Modules and boot images as a device sends them, which may say anything."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.adb import Device
from droidheaders.adb.shell import ShellResult
from droidheaders.errors import DeviceLostError
from droidheaders.kernel import binaries
from droidheaders.kernel.binaries import Listed
from tests.images import note

FILES = [Listed("/vendor/lib/modules/a.ko", 5), Listed("/vendor/lib/modules/it's $x.ko", 3)]


class Stream:
    """A command's output in pieces of any size."""

    def __init__(self, output: bytes, piece: int) -> None:
        self._output, self._piece = output, piece

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._output = b""

    def read(self, size: int) -> bytes:
        size = min(size, self._piece)
        piece, self._output = self._output[:size], self._output[size:]
        return piece


class Talker:
    """A device that answers every script alike; `@` in it stands for the script's own mark."""

    name = "device fake"

    def __init__(self, output: bytes, piece: int = 7) -> None:
        self.scripts: list[str] = []
        self._output, self._piece = output, piece

    def shell(self, script: str) -> ShellResult:
        self.scripts.append(script)
        return ShellResult(self._output, b"", 0)

    def stream(self, script: str) -> Stream:
        self.scripts.append(script)
        mark = re.findall(r"@[0-9a-f]{32}", script)[0].encode()
        return Stream(self._output.replace(b"@", mark), self._piece)


def talker(output: bytes, **more: Any) -> Device:
    return cast("Device", Talker(output, **more))


def test_listed_once_and_bounded() -> None:
    lines = [
        b"8:1 5 /vendor/lib/modules/a.ko",
        b"8:1 5 /vendor_dlkm/lib/modules/a.ko",  # the same file by another way
        b"8:2 99999999999 /vendor/lib/modules/large.ko",
        b"8:3 5 /vendor/lib/modules/../../../data/b.ko",
        b"8:4 5 /vendor/lib/modules/with blank.ko",
        b"5 /vendor/lib/modules/\x1b[2J.ko",
        b"8:5 70 relative.ko",
        b"8:6 0 /odm/lib/modules/empty.ko",
    ]
    found = binaries.modules(talker(b"\n".join(lines) + b"\n"))
    assert [(file.path, file.size) for file in found.files] == [
        ("/vendor/lib/modules/a.ko", 5),
        ("/odm/lib/modules/empty.ko", 0),
    ]
    assert found.left_out == 5
    assert found.size == 5


def test_no_more_than_so_many() -> None:
    lines = b"".join(b"8:%d 1 /lib/modules/%d.ko\n" % (n, n) for n in range(20_000))
    assert len(binaries.modules(talker(lines)).files) == 16384
    large = b"".join(b"8:%d %d /lib/modules/%d.ko\n" % (n, 60 << 20, n) for n in range(40))
    found = binaries.modules(talker(large))
    assert found.size <= 1 << 30
    assert len(found.files) + found.left_out == 40


def test_loaded() -> None:
    ids = [bytes(range(n, n + size)) for n, size in ((1, 20), (40, 20), (4, 8))]
    assert binaries.loaded(talker(b"".join(map(note, ids)))) == {one.hex() for one in ids}
    assert binaries.loaded(talker(note(ids[0])[:-1])) == frozenset()
    assert binaries.loaded(talker(b"")) == frozenset()


@given(st.binary(max_size=300))
def test_whatever_is_listed(output: bytes) -> None:
    found = binaries.modules(talker(output))
    assert all(file.path.isprintable() and file.path.startswith("/") for file in found.files)


@pytest.mark.parametrize("piece", [1, 7, 4096])
def test_contents(piece: int) -> None:
    """A name is one word of the script, and a file that may not be read is none."""
    device = talker(b"@ +\nab\n@c@ -\n".replace(b"\n@c", b"\nzc"), piece=piece)
    assert list(binaries.contents(device, FILES)) == [(FILES[0], b"ab\nzc"), (FILES[1], None)]
    [script] = cast("Talker", device).scripts
    assert r"""'/vendor/lib/modules/it'"'"'s $x.ko'""" in script


@pytest.mark.parametrize(
    "output", [b"", b"@ +\nab", b"@ +\nabcdefgh@ +\nabc", b"@ ?\nabcde@ +\nabc", b"x" * 20_000]
)
def test_files_that_are_not_what_they_were(output: bytes) -> None:
    with pytest.raises(DeviceLostError, match=r"device fake did not send .*\.ko whole"):
        list(binaries.contents(talker(output), FILES))


def test_many_files_in_scripts_that_adb_takes() -> None:
    files = [Listed(f"/lib/modules/{number:01000}.ko", 0) for number in range(200)]

    class Empty(Talker):
        def stream(self, script: str) -> Stream:
            self._output = b"@ +\n" * script.count(".ko")
            return super().stream(script)

    device = Empty(b"")
    assert len(list(binaries.contents(cast("Device", device), files))) == 200
    assert len(device.scripts) > 1
    assert max(map(len, device.scripts)) < 60_000


@pytest.mark.parametrize(
    ("output", "path", "content"),
    [
        (b"@ readable /dev/block/by-name/boot_a\n" + b"abc" * 4000, "boot_a", b"abc" * 4000),
        (b"@ readable /dev/block/by-name/boot_a\n", "boot_a", b""),
        (b"@ denied -\n", "denied", b""),
        (b"@ absent -\n", "", b""),
    ],
)
def test_boot_image(output: bytes, path: str, content: bytes) -> None:
    with binaries.boot_image(talker(output)) as (found, chunks):
        assert found.endswith(path)
        assert b"".join(chunks) == content


@pytest.mark.parametrize("output", [b"", b"@\n", b"@ readable a\x1b[2J\n", b"no such thing\n"])
def test_no_answer_about_the_boot_image(output: bytes) -> None:
    with pytest.raises(DeviceLostError, match="did not answer"), _entered(output):
        pass


def _entered(output: bytes) -> Any:
    return binaries.boot_image(talker(output))
