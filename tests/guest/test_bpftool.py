"""A device's bpftool in the loader's place: Debian's, with the libraries that it needs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from droidheaders.adb import Selector, Server
from droidheaders.debian.arch import DEBIAN_ARCH, host_arch
from droidheaders.debian.mirror import mirror
from droidheaders.debian.packages import Packages, unpack
from droidheaders.debian.place import cache_dir, locked
from droidheaders.guest.guest import Guest
from droidheaders.run.bpftool import Bpftool, script
from tests.loading import PLACE, Place, Running, of

pytestmark = pytest.mark.guest

TOOL = f"{PLACE}/bpftool"
SUITE = "bookworm-backports"  # bookworm's own, 7.1, knows no autoattach
LOOK = "ls /sys/fs/bpf; cat /sys/kernel/tracing/kprobe_events; ls /data/local/tmp"


def bpftool(into: Path) -> Path:
    """Return Debian's bpftool for this host's architecture."""
    arch = host_arch()
    with locked():
        packages = Packages(cache_dir(), mirror(), [SUITE], arch)
        packages.update()
        unpack(packages.fetch(packages.find(["bpftool"], DEBIAN_ARCH[arch])), into)
    return into / "usr/sbin/bpftool"


@pytest.fixture(scope="module")
def place(adb: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    tool = bpftool(tmp_path_factory.mktemp("bpftool"))
    name = f"6.1-{host_arch()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROIDHEADERS_STATE", str(tmp_path_factory.mktemp("state")))
        with (
            Guest.start(name, persona="su", server=adb) as guest,
            adb.select(Selector(serial=guest.serial)).privileged() as root,
        ):
            place = Place(root.device, root)
            needed = subprocess.run(["ldd", tool], capture_output=True, text=True, check=True)
            for library in re.findall(r"=> (\S+/lib(?:elf|z|cap)\.so\S+)", needed.stdout):
                root.device.push(Path(library).resolve(), f"{PLACE}/{Path(library).name}")
            root.device.push(tool, f"{TOOL}.real", mode=0o755)
            wrapper = f'#!/system/bin/sh\nLD_LIBRARY_PATH={PLACE} exec {TOOL}.real "$@"\n'
            root.device.push(wrapper.encode(), TOOL, mode=0o755)
            yield place


def test_it_attaches_and_leaves_nothing(place: Place) -> None:
    path = place.push("printing")
    before = place.said(LOOK)
    with place.root.session(script(TOOL, path, ["counts", "each"])) as session:
        running = Running(Bpftool(session))
        running.until("ready")
        place.said("mkdir /data/local/tmp/d && rmdir /data/local/tmp/d; sleep 0.5")
        events = running.end()
    assert of(events, "attached", program="on_rmdir")
    assert of(events, "unattached", program="on_packet")
    (trace,) = of(events, "trace")
    assert trace["text"].endswith("bpf_trace_printk: a directory is removed")
    dumps = {event["name"]: event["entries"] for event in of(events, "map")}
    assert dumps["counts"] == [
        {"key": "07000000", "value": "01000000", "key_text": "7", "value_text": "1"}
    ]
    assert [entry["cpu"] for entry in dumps["each"]] == [0, 1]
    assert sum(int(entry["value_text"]) for entry in dumps["each"]) == 1
    assert events[-1] == {"type": "end", "reason": "stdin", "dropped": 0}
    assert place.said(LOOK) == before


def test_what_it_does_not_load(place: Place) -> None:
    path = place.push("refused")
    before = place.said(LOOK)
    with place.root.session(script(TOOL, path)) as session:
        events = Running(Bpftool(session)).rest()
    assert events[-1]["type"] == "error"
    assert any("invalid mem access" in event["text"] for event in of(events, "log"))
    assert place.said(LOOK) == before


def test_a_device_that_hangs_up_leaves_no_pins(place: Place) -> None:
    path = place.push("printing")
    before = place.said(LOOK)
    with place.root.session(script(TOOL, path)) as session:
        running = Running(Bpftool(session))
        running.until("ready")
        assert place.said(LOOK) != before
    place.said(
        "i=0; while ls /sys/fs/bpf | grep -q . && [ $i -lt 50 ]; do i=$((i+1)); sleep 0.1; done"
    )
    assert place.said(LOOK) == before
