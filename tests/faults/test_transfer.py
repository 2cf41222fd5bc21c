"""What can happen to bytes between a device and this host; after each, the next pull is right."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import pytest

from tests import archives
from tests.adb.fake_server import Peer, fail, packet
from tests.archives import GOOD, RELEASE, tar, xz
from tests.fake_device import FakeDevice, Link, faithful
from tests.faults.command import Command

HEADERS = {**GOOD, "include/linux/big.h": os.urandom(200_000)}
TAR = tar(HEADERS)
ARCHIVE = xz(TAR)
MODULE = archives.module(ARCHIVE)
CONFIG = gzip.compress(b"CONFIG_IKHEADERS=m\n" * 50, mtime=0)
BTF = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 4, 4, 1) + bytes(5)
# A kheaders.ko that only the kernel understands, so that it is loaded.
OPAQUE = b"\x28\xb5\x2f\xfd" + bytes(9000)


def make(root: Path, way: str = "file") -> FakeDevice:
    """Return a device whose archive is had in this way: from its file, from /sys, by loading."""
    device = FakeDevice(
        root, ARCHIVE, loaded=way == "sys", module=OPAQUE if way == "loaded" else None
    )
    device.write("proc/config.gz", CONFIG)
    device.write("sys/kernel/btf/vmlinux", BTF)
    return device


@pytest.fixture
def device(tmp_path: Path) -> Iterator[FakeDevice]:
    with make(tmp_path / "device") as device:
        yield device


# What is done to the packets of the script that sends the archive. `at` counts the archive's bytes.


Packets = Iterator[tuple[int, bytes]]


def at_byte(at: int, packets: Packets) -> Iterator[tuple[int, bytes, bool]]:
    """Split the stdout behind the first line at a byte; say of each piece whether it is behind."""
    seen, begun = 0, False
    for kind, data in packets:
        head = b""
        if kind == 1 and not begun:
            line, _, data = data.partition(b"\n")  # noqa: PLW2901
            begun, head = True, line + b"\n"
        if head:
            yield kind, head, False
        if kind == 1 and not data:
            continue
        if kind != 1 or seen >= at:
            yield kind, data, seen >= at and begun
        else:
            before, behind = data[: at - seen], data[at - seen :]
            for piece, late in ((before, False), (behind, True)):
                if piece:
                    yield kind, piece, late
        if kind == 1:
            seen += len(data)


def cut(at: int, packets: Packets) -> Iterator[bytes]:
    for kind, data, behind in at_byte(at, packets):
        if behind:
            return
        yield packet(kind, data)


def insert(at: int, what: bytes, packets: Packets) -> Iterator[bytes]:
    """Put bytes between two packets, and go on."""
    done = False
    for kind, data, behind in at_byte(at, packets):
        if behind and not done:
            done = True
            yield what
        yield packet(kind, data)


def flip(at: int, packets: Packets) -> Iterator[bytes]:
    done = False
    for kind, data, behind in at_byte(at, packets):
        if behind and not done and kind == 1:
            done = True
            data = bytes([data[0] ^ 0x10]) + data[1:]  # noqa: PLW2901
        yield packet(kind, data)


def no_exit(packets: Packets) -> Iterator[bytes]:
    return (packet(kind, data) for kind, data in packets if kind != 3)


def empty_exit(packets: Packets) -> Iterator[bytes]:
    return (packet(kind, b"" if kind == 3 else data) for kind, data in packets)


def before_the_line(what: bytes, packets: Packets) -> Iterator[bytes]:
    yield packet(1, what)
    for kind, data in packets:
        yield packet(kind, data)


def flood(size: int, packets: Packets) -> Iterator[bytes]:
    """Say so much on stderr before the archive's second half."""
    return insert(len(ARCHIVE) // 2, packet(2, b"noise " * 2000) * (size // 12000), packets)


def endless(packets: Packets) -> Iterator[bytes]:
    yield packet(*next(packets))
    while True:
        yield packet(2, b"noise " * 2000) * 100


HALF = len(ARCHIVE) // 2
LOST, BAD = 6, 5
CUT = "it closed the connection"
BROKEN = "broke adb's shell protocol"

LINKS: dict[str, tuple[Link, int, str]] = {
    "cut before the first byte": (partial(cut, 0), LOST, CUT),
    "cut after 1 byte": (partial(cut, 1), LOST, CUT),
    "cut in the middle": (partial(cut, HALF), LOST, CUT),
    "cut before the last byte": (partial(cut, len(ARCHIVE) - 1), LOST, CUT),
    "exit frame missing": (no_exit, LOST, CUT),
    "exit frame empty": (empty_exit, LOST, CUT),
    "exit frame too early": (partial(insert, HALF, packet(3, b"\0")), BAD, "ended after"),
    "exit frame with a failure": (
        partial(insert, HALF, packet(2, b"I/O error\n") + packet(3, b"\1")),
        BAD,
        "could not be read: I/O error",
    ),
    "FAIL in mid-stream": (partial(insert, HALF, fail("device offline")), LOST, BROKEN),
    "OKAY in mid-stream": (partial(insert, HALF, b"OKAY"), LOST, BROKEN),
    "frame id 0": (partial(insert, HALF, packet(0, b"x")), LOST, BROKEN),
    "frame id 255": (partial(insert, HALF, packet(255, b"x")), LOST, BROKEN),
    "frame length 0xffffffff": (partial(insert, HALF, b"\1\xff\xff\xff\xff"), LOST, BROKEN),
    "stderr length 0xffffffff": (partial(insert, HALF, b"\2\xff\xff\xff\xff"), LOST, BROKEN),
    "a byte too many": (partial(insert, HALF, packet(1, b"x")), BAD, ""),
    "stdout before the first line": (partial(before_the_line, b"Hi!\n"), LOST, "answered 'Hi!'"),
    "stdout without any line": (partial(before_the_line, b"Hi! " * 5000), LOST, "answered 'Hi!"),
    "first line with a number of 5000 digits": (
        partial(before_the_line, b"@0 0 " + b"9" * 5000 + b" /kheaders.ko\n"),
        LOST,
        "answered '@0 0 999",
    ),
    "first bit flipped": (partial(flip, 0), BAD, ""),
    "middle bit flipped": (partial(flip, HALF), BAD, ""),
    "bit flipped in the last byte": (partial(flip, len(ARCHIVE) - 1), BAD, ""),
}


@pytest.mark.parametrize("way", ["sys", "loaded"])
@pytest.mark.parametrize(
    ("link", "status", "says"), [pytest.param(*case, id=name) for name, case in LINKS.items()]
)
def test_link(
    tmp_path: Path, command: Command, way: str, link: Link, status: int, says: str
) -> None:
    """Whether the archive is there, or a module is loaded for it that must not stay."""

    def only_the_archive(packets: Packets) -> Iterator[bytes]:
        before = []
        for kind, data in packets:
            before.append((kind, data))
            if kind == 1:
                break
        rest = chain(before, packets)
        yield from (link if b"kheaders.tar.xz" in before[-1][1] else faithful)(rest)

    with make(tmp_path / "device", way) as device:
        device.link = only_the_archive
        err = command.fails(device, status, "pull")
        assert says in err
        assert "device fake-1" in err
        assert f"{RELEASE} (aarch64)" in err
        assert not device.module_loaded
        device.link = faithful
        assert (command.pulls(device).path / "archive.tar.xz").read_bytes() == ARCHIVE
        assert device.log.count("insmod kheaders.ko") == 2 * (way == "loaded")


@pytest.mark.parametrize(
    "link",
    [
        pytest.param(partial(insert, HALF, packet(1, b"")), id="frame length 0"),
        pytest.param(partial(insert, HALF, packet(2, b"warning\n")), id="stderr"),
        pytest.param(partial(flood, 20_000_000), id="stderr flood"),
        pytest.param(partial(insert, len(MODULE) * 2, b"x" * 9000), id="junk behind the exit"),
    ],
)
def test_harmless_link(device: FakeDevice, command: Command, link: Link) -> None:
    device.link = link
    assert (command.pulls(device).path / "archive.tar.xz").read_bytes() == ARCHIVE


def test_an_endless_flood_ends(device: FakeDevice, command: Command) -> None:
    device.link = endless
    assert "without end" in command.fails(device, LOST, "pull")
    device.link = faithful
    command.pulls(device)


# What happens to the connection, the device and the server, after so many bytes.

Fault = Callable[[FakeDevice, Peer, int], None]
LISTED = "fake-1 device product:p model:Fake device:d transport_id:{}\n"


def vanish(device: FakeDevice, peer: Peer, sent: int) -> None:
    device.devices = ""
    raise EOFError


def come_back(device: FakeDevice, peer: Peer, sent: int) -> None:
    device.devices = LISTED.format(4)
    raise EOFError


def go_offline(device: FakeDevice, peer: Peer, sent: int) -> None:
    device.devices = LISTED.format(3).replace(" device ", " offline ", 1)
    raise EOFError


def reset(device: FakeDevice, peer: Peer, sent: int) -> None:
    peer.reset()


def stall(device: FakeDevice, peer: Peer, sent: int) -> None:
    peer.hold()
    raise EOFError


def kill_server(device: FakeDevice, peer: Peer, sent: int) -> None:
    device.kill()
    raise EOFError


@pytest.mark.parametrize("when", [pytest.param(0, id="at first"), pytest.param(HALF, id="later")])
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        pytest.param(vanish, "was unplugged or switched off", id="unplugged"),
        pytest.param(come_back, "is back under another transport id", id="rebooted"),
        pytest.param(go_offline, "is now in state offline", id="offline"),
        pytest.param(reset, "it closed the connection", id="reset"),
        pytest.param(stall, "did not answer in time", id="stall"),
        pytest.param(kill_server, "the adb server at", id="adb server killed"),
    ],
)
def test_connection(tmp_path: Path, command: Command, when: int, fault: Fault, says: str) -> None:
    def later(device: FakeDevice, peer: Peer, sent: int) -> None:
        if sent >= when:
            fault(device, peer, sent)

    with make(tmp_path / "device") as device:
        device.fault = later
        err = command.fails(device, LOST, "--timeout", "0.5", "pull")
        assert says in err
        assert "device fake-1" in err
        assert f"{RELEASE} (aarch64)" in err
    with make(tmp_path / "again") as device:
        command.pulls(device)


# What is on the device is itself damaged, or changes while it is read.


@dataclass(frozen=True)
class Content:
    """A file's bytes, and what a pull of them ends with."""

    file: str
    data: bytes
    says: str


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


SYS = "sys/kernel/kheaders.tar.xz"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(Content(SYS, data, says), id=name)
        for name, data, says in (
            ("xz empty", b"", "is empty"),
            ("xz cut after 1 byte", ARCHIVE[:1], ""),
            ("xz cut in the middle", ARCHIVE[:HALF], "is cut off"),
            ("xz cut before the last byte", ARCHIVE[:-1], "is cut off"),
            ("xz with junk behind", ARCHIVE + b"\0", "goes on behind the end"),
            ("xz twice", ARCHIVE * 2, "goes on behind the end"),
            ("xz with its first bit flipped", flipped(ARCHIVE, 0), "is not xz"),
            ("xz with its middle bit flipped", flipped(ARCHIVE, HALF), "is damaged"),
            ("xz with a bit of its last byte flipped", flipped(ARCHIVE, -1 % len(ARCHIVE)), ""),
            ("tar with a bit of a name flipped", xz(flipped(TAR, 3)), "damaged tar header"),
            ("tar with a bit of a size flipped", xz(flipped(TAR, 130)), "damaged tar header"),
            ("tar with its end marked by a one", xz(flipped(TAR, len(TAR) - 1)), ""),
        )
    ],
)
def test_damaged_on_the_device(device: FakeDevice, command: Command, content: Content) -> None:
    device.write(content.file, content.data)
    err = command.fails(device, BAD, "pull")
    assert content.says in err
    assert f"fake-1 ({RELEASE} (aarch64))" in err
    (device.root / content.file).unlink()
    command.pulls(device)


@pytest.mark.parametrize("at", range(0, len(MODULE), len(MODULE) // 40))
def test_a_bit_flipped_in_the_module(device: FakeDevice, command: Command, at: int) -> None:
    """The archive comes whole or not at all: by loading the module, when its file is in doubt."""
    [file] = device.root.rglob("kheaders.ko")
    file.write_bytes(flipped(MODULE, at))
    ended = command.run(device, "pull")
    assert ended.status in (0, BAD), ended.err
    if ended.status == 0:
        path = Path(ended.out.strip()).parent
        assert (path / "archive.tar.xz").read_bytes() == ARCHIVE


@pytest.mark.parametrize(
    ("file", "data", "says"),
    [
        pytest.param("proc/config.gz", flipped(CONFIG, 0), "is no gzip", id="config, first bit"),
        pytest.param("proc/config.gz", flipped(CONFIG, 20), "", id="config, middle bit"),
        pytest.param("proc/config.gz", flipped(CONFIG, len(CONFIG) - 9), "", id="config, last bit"),
        pytest.param("proc/config.gz", CONFIG[:-1], "is cut off", id="config cut"),
        pytest.param("proc/config.gz", CONFIG + b"x", "goes on", id="config with junk"),
        pytest.param("proc/config.gz", b"", "is cut off", id="config empty"),
        pytest.param("sys/kernel/btf/vmlinux", flipped(BTF, 0), "is no BTF", id="BTF, first bit"),
        pytest.param("sys/kernel/btf/vmlinux", flipped(BTF, 12), "", id="BTF, a length's bit"),
        pytest.param("sys/kernel/btf/vmlinux", BTF[:-1], "is cut off", id="BTF cut"),
        pytest.param("sys/kernel/btf/vmlinux", BTF + b"x", "", id="BTF with junk"),
        pytest.param("sys/kernel/btf/vmlinux", b"", "is too short", id="BTF empty"),
    ],
)
def test_a_damaged_extra_is_left_out(
    device: FakeDevice, command: Command, file: str, data: bytes, says: str
) -> None:
    device.write(file, data)
    bundle = command.pulls(device)
    left_out = "config" if "config" in file else "btf"
    assert bundle.parts == [p for p in ("headers", "config", "btf") if p != left_out]
    [warning] = bundle.meta["warnings"]
    assert warning.startswith(f"/{file} {says}")
    device.write(file, CONFIG if left_out == "config" else BTF)
    assert command.pulls(device, "--refresh").parts == ["headers", "config", "btf"]


@pytest.mark.parametrize("way", ["sys", "loaded"])
@pytest.mark.parametrize(
    ("by", "says"),
    [
        pytest.param(-1, "is longer than the device says", id="grows by a byte"),
        pytest.param(-HALF, "is longer than the device says", id="grows to the double"),
        pytest.param(1, "goes on behind the end of its xz stream", id="shrinks by a byte"),
        pytest.param(10**9, "goes on behind the end of its xz stream", id="shrinks to nothing"),
    ],
)
def test_another_size_than_was_stated(
    tmp_path: Path, command: Command, way: str, by: int, says: str
) -> None:
    """As when a file changes between stat(2) and read(2); here stat(1) lies."""
    with make(tmp_path / "device", way) as device:
        device.tool(
            "stat",
            f"""for f in "$@"; do
  case $f in
  *.xz) set -- $(/usr/bin/stat -c '%s %n' "$f"); echo $(($1 + {by})) $2;;
  /*) /usr/bin/stat -c '%s %n' "$f";;
  esac
done""",
        )
        assert says in command.fails(device, BAD, "pull")
        assert not device.module_loaded
        (device.root / "bin/stat").unlink()
        command.pulls(device)
