"""Text from a device: no terminal obeys it, no shell runs it, no path has it, and it ends.

Every field that is read from a device, times everything that text may try.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from droidheaders.ui import printable
from tests.adb.fake_server import fail
from tests.archives import GOOD, RELEASE, module, tar, xz
from tests.fake_device import VERSION, FakeDevice
from tests.faults.command import Command

ARCHIVE = xz(tar())
OPAQUE = b"\x28\xb5\x2f\xfd" + bytes(9000)  # a kheaders.ko that has to be loaded

# Without blanks, at which some fields end; a shell puts one in the place of ${IFS}. The longest is
# what fits into the one block that adb's server lists devices in.
TEXTS = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "return": "good\rbad",
    "upwards": "../../../../beside/new",
    "substitution": "$(touch${IFS}X)",
    "command": ";touch${IFS}X;",
    "markup": "[bold]b[/bold]<b>b</b>",
    "long": "x" * 65_000,
}
CONTROL = ("colour", "title", "return")

Make = Callable[[Path, str], FakeDevice]


@dataclass(frozen=True)
class Field:
    """Makes a device with this text in this field; what a pull from it ends with.

    `but` has the exceptions, and `hidden` the texts that are shown nowhere, not even escaped.
    """

    make: Make
    status: int
    but: Mapping[str, int] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()


def listed(line: str) -> Make:
    """Make a device of which adb's server says this."""

    def make(root: Path, text: str) -> FakeDevice:
        device = FakeDevice(root, ARCHIVE)
        device.devices = line.replace("TEXT", text)
        return device

    return make


def refused(root: Path, text: str) -> FakeDevice:
    device = FakeDevice(root, ARCHIVE)
    device.on("host:devices-l", fail(text))
    return device


def release(root: Path, text: str) -> FakeDevice:
    return FakeDevice(root, headers(text), release=text)


def headers(release: str = RELEASE, compiler: str | None = None) -> bytes:
    """Return an archive of this release, that says what compiler built the kernel, or does not."""
    files = dict(GOOD)
    del files["include/generated/compile.h"]
    files["include/generated/utsrelease.h"] = f'#define UTS_RELEASE "{release}"\n'.encode()
    if compiler is not None:
        line = f'#define LINUX_COMPILER "{compiler}"\n'
        files["include/generated/compile.h"] = line.encode()
    return xz(tar(files))


def file(path: str, line: str) -> Make:
    """Make a device with a file of this content; its kernel's compiler is known from there only."""

    def make(root: Path, text: str) -> FakeDevice:
        device = FakeDevice(root, headers())
        device.write(path, line.replace("TEXT", text).encode())
        return device

    return make


def tool(name: str, says: str, then: str = "") -> Make:
    """Make a device on which a command says this."""

    def make(root: Path, text: str) -> FakeDevice:
        opaque = OPAQUE if name == "insmod" else None
        device = FakeDevice(root, ARCHIVE, module=opaque)
        device.write("words", says.replace("TEXT", text).encode())
        device.tool(name, f"cat {root}/words {then}")
        return device

    return make


KNOWN = "product:p model:Fake device:d transport_id"
FIELDS = {
    "serial": Field(listed(f"TEXT device {KNOWN}:3\n"), 0, hidden=("return",)),
    "model": Field(
        listed(f"a device {KNOWN}:3\nb device product:p model:TEXT device:d transport_id:4\n"),
        3,
        hidden=("return",),
    ),
    "state": Field(listed(f"fake-1 TEXT {KNOWN}:3\n"), 3, hidden=("return",)),
    "note": Field(
        listed("fake-1 no permissions (TEXT); see [http://x] usb:1-2 transport_id:3\n"),
        3,
        hidden=("return",),
    ),
    "the server's refusal": Field(refused, 3),
    "release": Field(release, 0, dict.fromkeys((*CONTROL, "long"), 5)),
    "version": Field(lambda root, text: FakeDevice(root, ARCHIVE, version=text), 0),
    "machine": Field(lambda root, text: FakeDevice(root, ARCHIVE, machine=text), 5),
    "compiler in /proc/version": Field(
        file("proc/version", f"Linux version {RELEASE} (a@b) (TEXT) {VERSION}\n"),
        0,
        hidden=("long",),
    ),
    "compiler in compile.h": Field(lambda root, text: FakeDevice(root, headers(RELEASE, text)), 0),
    "UTS_RELEASE": Field(lambda root, text: FakeDevice(root, headers(text)), 5),
    "SELinux context": Field(file("proc/self/attr/current", "TEXT\0"), 0, hidden=tuple(TEXTS)),
    "build type": Field(tool("getprop", "TEXT\n"), 0, hidden=tuple(TEXTS)),
    "insmod's words": Field(tool("insmod", "TEXT\n", ">&2; exit 1"), 5, hidden=("return",)),
    "the archive's path": Field(
        tool("stat", f"{len(module(ARCHIVE))} TEXT/kheaders.ko\n"),
        0,
        dict.fromkeys((*CONTROL, "long"), 6),
    ),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("field", FIELDS)
def test_text(tmp_path: Path, command: Command, field: str, name: str) -> None:
    text, what = TEXTS[name], FIELDS[field]
    with what.make(tmp_path / "device", text) as device:
        pulled = command.run(device, "pull")
        assert pulled.status == what.but.get(name, what.status), pulled.err
        said = [pulled, command.run(device, "devices")]
        told = [command.run(device, "--json", "devices"), command.run(device, "--json", "pull")]
        if pulled.status == 0:
            bundle = inside(command.cache, pulled.out)
            said += [command.run(device, "cache", *c) for c in (("list",), ("show", bundle))]
            told += [command.run(device, "--json", "cache", "show", bundle)]
    for ended in told:
        assert len(ended.out.splitlines()) == 1
        assert json.loads(ended.out)["schema"] == 1
    assert all(len(line) < 1000 for e in said for line in (e.out + e.err).splitlines())
    shown = any(printable(text)[:20] in (e.out + e.err).replace("\\\\", "\\") for e in said)
    assert shown == (name not in what.hidden)
    with FakeDevice(tmp_path / "next", ARCHIVE, build_id=b"n" * 20) as device:
        command.pulls(device)


def inside(cache: Path, out: str) -> str:
    """Return the bundle's name of the path that a pull printed, which is a plain one."""
    path = Path(out.removesuffix("\n"))
    assert path.resolve() == path == cache / "kernels" / path.parent.name / "headers"
    return path.parent.name
