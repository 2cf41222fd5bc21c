"""Modules in real kernels: loaded, watched and unloaded, and all the trouble they make."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from droidheaders.adb import Server
from droidheaders.objects import module as modules
from tests.built_modules import built
from tests.guest.running import Running, running
from tests.kernels import KERNELS

pytestmark = pytest.mark.guest


@dataclass(frozen=True)
class Site:
    """A guest, and the modules that were built for its kernel."""

    guest: Running
    modules: Path

    def ko(self, name: str) -> str:
        return str(self.modules / f"{name}.ko")

    def changed(self, name: str, old: bytes, new: bytes) -> str:
        """Return a module in which some bytes are others."""
        data = (self.modules / f"{name}.ko").read_bytes()
        assert old in data
        assert len(old) == len(new)
        path = self.guest.place / f"{name}.ko"
        path.write_bytes(data.replace(old, new))
        return str(path)

    def run(self, *arguments: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the verdict of `run module --json`, and the events before it."""
        done = self.guest.run("run", "module", "--json", *arguments)
        *events, verdict = [json.loads(line) for line in done.stdout.splitlines()]
        assert verdict["exit_code"] == done.returncode, done
        return verdict, events

    def trouble(self, how: str, *arguments: str, when: str = "init") -> dict[str, Any]:
        words = ("--param", f"how={how}", "--param", f"when={when}")
        return self.run(self.ko("trouble"), *words, *arguments)[0]

    def left(self) -> str:
        """Return what is left of runs on the device: nothing, if all is well."""
        names = "hello|several|giver|taker|chardev|probing|packets|trouble"
        return self.guest.root(f"ls -A /data/local/tmp; lsmod | grep -E '^({names}) '; pidof dd")


@pytest.fixture(scope="module", params=KERNELS)
def site(
    request: pytest.FixtureRequest, adb: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    yield from _site(request.param, adb, tmp_path_factory.mktemp("modules"))


def _site(name: str, adb: Server, place: Path) -> Iterator[Site]:
    made = built(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROIDHEADERS_STATE", str(place / "state"))
        patch.setenv("DROIDHEADERS_CACHE", str(place / "cache"))
        with running(name, "userdebug", adb, place) as guest:
            yield Site(guest, made)


HEALTHY = [
    ("hello", ["--param", "who=two words", "--param", "times=2"], r"hello two words, 2 of 2$"),
    ("several", [], r"text of an assembler file, 42, cpus \d"),
    ("taker giver", ["--param", "taker.question=42"], r"the answer is 43"),
    ("chardev", ["--trigger", "echo some words >/dev/chardev"], r"written: some words"),
    ("probing", ["--trigger", "cat /proc/uptime"], r"probing: do_sys_openat2 called by"),
    ("packets", ["--trigger", "echo"], r"packets: one of \d+ bytes leaves by \w+"),
]


@pytest.mark.parametrize(("names", "words", "expected"), HEALTHY, ids=[row[0] for row in HEALTHY])
def test_what_a_module_says_is_seen_and_nothing_is_left(
    site: Site, names: str, words: list[str], expected: str
) -> None:
    verdict, events = site.run(*map(site.ko, names.split()), *words, "--expect", expected)
    assert verdict["verdict"] == "pass", (verdict, events)
    done = [(e["type"], e["module"]) for e in events if e["type"] in ("inserted", "removed")]
    order = sorted(names.split())  # giver comes before taker, whatever was asked for
    assert done == [("inserted", n) for n in order] + [("removed", n) for n in order[::-1]]
    assert site.left() == ""


def test_a_proc_entry_that_outlives_its_module(site: Site) -> None:
    verdict = site.trouble("leak")
    assert verdict["verdict"] == "fail"
    assert "/proc/trouble came with the modules and stayed" in verdict["message"]
    assert site.left() == ""


def test_an_oops_is_told_with_its_frames(site: Site) -> None:
    """Last on each guest, which is good for nothing afterwards."""
    verdict, events = site.run(site.ko("trouble"), "--param", "how=null")
    assert (verdict["verdict"], verdict["exit_code"]) == ("fail", 1)
    assert re.search("NULL pointer dereference.*, in trouble_null", verdict["message"]), verdict
    assert "emulator start" in verdict["hint"]
    [splat] = [event for event in events if event["type"] == "splat" and event["kind"] == "oops"]
    assert splat["frames"][0].startswith("trouble_null+0x")
    assert "trouble_init" in [frame.partition("+")[0] for frame in splat["frames"]]
    assert splat["module"] == "trouble"
    verdict, _ = site.run(site.ko("trouble"))
    assert (verdict["verdict"], verdict["exit_code"]) == ("infra", 1)
    assert verdict["message"].endswith("already (coming)"), verdict
    assert "emulator start" in verdict["hint"]


@pytest.fixture(scope="module")
def lab(adb: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A guest for what is refused, and what goes wrong in ways that leave it as it was."""
    yield from _site("6.1-arm64", adb, tmp_path_factory.mktemp("lab"))


def _other_crc(site: Site, symbol: str) -> str:
    crc = (modules.read(Path(site.ko("hello"))).versions or {})[symbol]
    entry = struct.Struct("<Q56s")
    return site.changed(
        "hello", entry.pack(crc, symbol.encode()), entry.pack(crc ^ 1, symbol.encode())
    )


def test_a_symbol_that_nobody_exports(lab: Site) -> None:
    verdict, _ = lab.run(lab.ko("taker"))
    assert (verdict["verdict"], verdict["exit_code"]) == ("skip", 4)
    assert "needs the symbol pair_answer, which neither" in verdict["message"]


@pytest.mark.parametrize("symbol", ["_printk", "module_layout"])
def test_another_crc(lab: Site, symbol: str) -> None:
    verdict, _ = lab.run(_other_crc(lab, symbol))
    assert (verdict["verdict"], verdict["exit_code"]) == ("skip", 4)
    assert f"its CRC of {symbol} is not the kernel's" in verdict["message"]


def test_vermagic_off_by_one_flag(lab: Site) -> None:
    module = lab.changed("hello", b" mod_unload ", b" mod_unloax ")
    verdict, events = lab.run(module)
    assert (verdict["verdict"], verdict["exit_code"], events) == ("skip", 4, [])
    assert "vermagic lacks mod_unload and has mod_unloax" in verdict["message"]
    verdict, _ = lab.run(module, "--force")
    assert verdict["verdict"] == "skip"
    assert "its vermagic lacks mod_unload and has mod_unloax, unlike the" in verdict["message"]


def test_a_namespace_that_is_not_imported(lab: Site) -> None:
    taker = lab.changed("taker", b"\0import_ns=PAIR\0", b"\0import_nx=PAIR\0")
    verdict, events = lab.run(taker, lab.ko("giver"))
    assert verdict["verdict"] == "skip"
    assert "uses pair_answer of the namespace PAIR without importing it" in verdict["message"]
    assert {"type": "removed", "module": "giver"} in events
    assert lab.left() == ""


def test_an_init_that_says_try_again(lab: Site) -> None:
    verdict = lab.trouble("again")
    assert (verdict["verdict"], verdict["exit_code"]) == ("fail", 1)
    assert "its init returned -EAGAIN" in verdict["message"]


def test_a_parameter_that_is_none(lab: Site) -> None:
    verdict, _ = lab.run(lab.ko("hello"), "--param", "times=many")
    assert verdict["verdict"] == "fail"
    assert "its parameter times does not take many" in verdict["message"]


def test_another_machine(lab: Site) -> None:
    foreign = str(built("6.1-x86_64") / "hello.ko")
    verdict, events = lab.run(foreign)
    assert (verdict["verdict"], verdict["exit_code"], events) == ("skip", 4, [])
    assert "it is for x86, and the kernel is arm64" in verdict["message"]
    verdict, _ = lab.run(foreign, "--force")
    assert verdict["verdict"] == "skip"
    assert "another kernel or machine" in verdict["message"]


def test_a_warning_fails_the_run(lab: Site) -> None:
    verdict = lab.trouble("warn")
    assert (verdict["verdict"], verdict["hint"]) == ("fail", "")
    assert re.search(r"trouble\.c:\d+ trouble_make", verdict["message"])
    assert lab.left() == ""


def test_what_is_in_use_stays_until_the_next_run(lab: Site) -> None:
    verdict, _ = lab.run(
        lab.ko("chardev"), "--trigger", "sleep 600 </dev/chardev >/dev/null 2>&1 &"
    )
    assert (verdict["verdict"], verdict["exit_code"]) == ("fail", 1)
    assert "chardev could not be removed" in verdict["message"]
    assert "in use, 1 references" in verdict["message"]
    lab.guest.root("kill $(pidof sleep)")
    done = lab.guest.run("run", "module", lab.ko("hello"))
    assert b"an earlier run was cut off: unloaded chardev" in done.stderr
    assert (done.returncode, lab.left()) == (0, "")


def test_kept_modules_and_who_uses_them(lab: Site) -> None:
    lab.guest.device.push(Path(lab.ko("taker")), "/data/local/tmp/taker.ko")
    insert = "insmod /data/local/tmp/taker.ko; rm /data/local/tmp/taker.ko"
    verdict, _ = lab.run(lab.ko("giver"), "--trigger", insert)
    assert "in use by taker, 1 references" in verdict["message"]
    lab.guest.root("rmmod taker")
    verdict, _ = lab.run(lab.ko("hello"), "--keep")
    assert (verdict["verdict"], lab.left()[:6]) == ("pass", "hello ")
    verdict, _ = lab.run(lab.ko("hello"))
    assert verdict["message"].endswith("already (live)")
    lab.guest.root("rmmod hello")
    assert lab.left() == ""


def test_ctrl_c_and_a_kill_leave_nothing(lab: Site) -> None:
    with lab.guest.start("run", "module", lab.ko("hello"), "--for", "600") as process:
        assert process.stdout
        assert b"hello world" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert lab.left() == ""
    with lab.guest.start("run", "module", lab.ko("hello"), "--for", "600") as process:
        assert process.stdout
        assert b"hello world" in process.stdout.readline()
        process.kill()
    for _ in range(100):  # the device sees that nobody is there any more, and removes it itself
        if "hello" not in lab.guest.root("lsmod"):
            break
        time.sleep(0.1)
    assert "hello" not in lab.guest.root("lsmod; pidof dd")
    assert lab.guest.run("run", "module", lab.ko("several")).returncode == 0
    assert lab.left() == ""


def test_a_full_disk(lab: Site) -> None:
    options = "size=4k,mode=777,context=u:object_r:shell_data_file:s0"
    lab.guest.root(f"mount -t tmpfs -o {options} tmpfs /data/local/tmp")
    try:
        done = lab.guest.run("run", "module", lab.ko("hello"))
        assert (done.returncode, b"No space left on device" in done.stderr) == (1, True), done
        assert lab.left() == ""
    finally:
        lab.guest.root("umount /data/local/tmp")


def test_a_kernel_that_panics(lab: Site) -> None:
    """The last thing in this guest."""
    verdict = lab.trouble("panic")
    assert (verdict["verdict"], verdict["exit_code"]) == ("panic", 6)
    told = r"not syncing: trouble: as asked for, in trouble_make\+"
    assert re.search(told, verdict["message"]), verdict
    assert "emulator start" in verdict["hint"]


@pytest.fixture
def spare(adb: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from _site("6.1-arm64", adb, tmp_path_factory.mktemp("spare"))


def test_an_init_that_does_not_end(spare: Site) -> None:
    verdict = spare.trouble("hang", "--timeout", "5")
    assert (verdict["verdict"], verdict["exit_code"]) == ("timeout", 6)
    assert "insmod did not end" in verdict["message"]
    assert "emulator start" in verdict["hint"]


def test_a_device_lost_in_the_middle_of_an_insertion(spare: Site) -> None:
    words = ("run", "module", "--json", spare.ko("trouble"), "--param", "how=hang")
    with spare.guest.start(*words) as process:
        assert process.stdout
        assert any(b"hang in init" in line for line in process.stdout), process.communicate()
        os.kill(spare.guest.pid, signal.SIGKILL)
        *_, last = process.stdout.read().splitlines()
        assert (json.loads(last)["verdict"], process.wait(60)) == ("lost", 6)


@pytest.fixture
def signed(adb: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from _site("6.1-arm64-signed", adb, tmp_path_factory.mktemp("signed"))


def test_signatures_are_enforced_and_modules_disabled(signed: Site) -> None:
    verdict, events = signed.run(signed.ko("hello"))
    assert (verdict["verdict"], verdict["exit_code"], events) == ("skip", 4, [])
    assert "it is not signed, and " in verdict["message"]
    verdict, _ = signed.run(signed.ko("hello"), "--force")
    assert (verdict["verdict"], verdict["exit_code"]) == ("skip", 4)
    assert "takes only modules with a signature that it knows" in verdict["message"]
    signed.guest.root("echo 1 >/proc/sys/kernel/modules_disabled")
    verdict, events = signed.run(signed.ko("hello"))
    assert (verdict["verdict"], verdict["exit_code"], events) == ("skip", 4, [])
    assert "kernel.modules_disabled=1" in verdict["message"]
    verdict, _ = signed.run(signed.ko("hello"), "--force")
    assert (verdict["verdict"], verdict["exit_code"]) == ("skip", 4)
    assert "loads no modules at all" in verdict["message"]
    assert signed.left() == ""
