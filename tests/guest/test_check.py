"""What `check` says of real kernels, against what then really happens there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from droidheaders.adb import Device, Selector, Server
from droidheaders.guest.guest import Guest
from droidheaders.run import prober
from tests.bpf_objects import program
from tests.build import distribution
from tests.kernels import GUESTS

pytestmark = pytest.mark.guest

ARM, X86 = "6.1-arm64", "6.1-x86_64"
KHEADERS = "/system_dlkm/lib/modules/*/kernel/kernel/kheaders.ko"


@dataclass(frozen=True)
class Asked:
    """A guest, and the command line turned towards it with a cache of its own."""

    device: Device
    cache: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        where = ["-P", str(self.device.server.endpoint.port), "-s", self.device.serial]
        return subprocess.run(
            [sys.executable, "-m", "droidheaders", *where, *arguments],
            env=os.environ | {"DROIDHEADERS_CACHE": str(self.cache)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def json(self, *arguments: str, status: int = 0) -> Any:
        done = self.run("check", "--json", *arguments)
        assert done.returncode == status, done
        return json.loads(done.stdout)

    def insmod(self, module: Path) -> tuple[str, str]:
        """Insert a module and take it out; return what was said to that, and logged."""
        remote = "/data/local/tmp/check.ko"
        self.device.push(module, remote)
        script = f"dmesg -c >/dev/null; insmod {remote} && rmmod kheaders; rm {remote}; dmesg"
        with self.device.privileged() as root:
            result = root.shell(script, timeout=60.0)
        errors = [line for line in result.stdout.decode().splitlines() if "headers" in line]
        return result.stderr.decode(), "\n".join(errors)

    def root(self, script: str) -> str:
        with self.device.privileged() as root:
            result = root.shell(script, timeout=60.0)
        assert result.status == 0, result
        return result.stdout.decode()


@contextmanager
def asked(name: str, persona: str, server: Server, cache: Path) -> Iterator[Asked]:
    with Guest.start(name, persona=persona, server=server) as guest:
        yield Asked(server.select(Selector(serial=guest.serial)), cache)


@pytest.mark.parametrize(("name", "persona"), GUESTS)
def test_what_is_said_happens(
    name: str, persona: str, state: Path, adb: Server, tmp_path: Path
) -> None:
    with asked(name, persona, adb, tmp_path) as guest:
        said = guest.json(status=4 if persona == "user" else 0)
        _programs_load_as_said(guest, persona, said["bpf"])
        _modules_load_as_said(guest, persona, said["modules"])
        pulled = guest.run("pull")
        assert (said["headers"]["verdict"], pulled.returncode) == (
            ("no", 5) if persona == "user" else ("yes", 0)
        )
        if persona == "user":
            return
        cached = guest.json("--for", "headers")["headers"]
        assert cached["cached"] in pulled.stdout
        assert cached["cached"] == guest.json("--bundle", cached["cached"])["bundle"]


def _programs_load_as_said(guest: Asked, persona: str, said: dict[str, Any]) -> None:
    with guest.device.privileged() as root:
        user = guest.device if persona == "user" else root
        happened = prober.ask(guest.device, user)
        assert said["as"] == ("shell" if persona == "user" else root.how)
    assert tuple(said["types"]) == prober.TYPES
    for kind, outcome in happened.items():
        told = said["types"][kind]
        assert told["loads"] == (outcome.load == 0), (kind, told, outcome)
        if outcome.attach is not None or outcome.load:  # of the others it is not known
            assert told["verdict"] == ("yes" if outcome.works else "no"), (kind, told, outcome)
        assert outcome.works or told["because"]


def _modules_load_as_said(guest: Asked, persona: str, said: dict[str, Any]) -> None:
    script = f"insmod {KHEADERS} && rmmod kheaders"
    if persona == "user":
        assert said["verdict"] == "no"
        assert guest.device.shell(script).status != 0
        return
    assert said["verdict"] == "yes"
    guest.root(script)
    assert said["vermagic"].startswith(guest.device.shell("uname -r").stdout.decode().strip())
    assert said["switches"]["modules_disabled"] == "0"
    assert said["options"]["CONFIG_MODULES"] == "y"


def test_switches_that_are_thrown(state: Path, adb: Server, tmp_path: Path) -> None:
    """What keeps a module or a program away is noticed when it is switched on."""
    with asked(ARM, "userdebug", adb, tmp_path) as guest:
        guest.root("umount /sys/kernel/tracing; umount /sys/kernel/debug/tracing; true")
        guest.root("umount /sys/fs/bpf; echo 0 >/proc/sys/net/core/bpf_jit_enable")
        guest.root("echo 1 >/proc/sys/kernel/modules_disabled")
        said = guest.json("--for", "bpf", "--for", "modules", status=4)
        assert said["modules"]["because"] == "kernel.modules_disabled is 1 until the next boot"
        answers = {one["name"]: one["verdict"] for one in said["bpf"]["answers"]}
        assert (answers["bpffs"], answers["jit"]) == ("risky", "risky")
        assert "headers" not in said


def test_one_that_is_proven(state: Path, adb: Server, tmp_path: Path) -> None:
    with asked(ARM, "su", adb, tmp_path) as guest:
        said = guest.json("--for", "headers", "--probe")["bpf"]["types"]
        assert said["kprobe"]["because"] == "one was loaded and attached on the device"
        assert said["kprobe"]["probed"] == [0, 0]
        assert said["fentry"]["probed"] == [0, 524]
        assert said["fentry"]["verdict"] == "no"
        assert guest.root("ls /data/local/tmp") == ""


@pytest.mark.parametrize("name", [ARM, X86])
def test_modules_for_it(name: str, state: Path, adb: Server, tmp_path: Path) -> None:
    """The kheaders module of the very kernel is taken; what is spoilt in it is named."""
    with asked(name, "userdebug", adb, tmp_path / "cache") as guest:
        own = tmp_path / "kheaders.ko"
        with guest.device.privileged() as root:
            own.write_bytes(root.shell(f"cat {KHEADERS}").stdout)
        # Without its Module.symvers nothing tells the kernel's CRCs.
        mine = answers(guest.json(str(own), status=1)["files"][0])
        assert mine["layout"]["because"].endswith("as in the kernel's BTF")
        assert not {answer["verdict"] for answer in mine.values()} & {"no", "risky"}
        assert guest.insmod(own) == ("", "")

        spoilt = tmp_path / "spoilt.ko"
        spoilt.write_bytes(own.read_bytes().replace(b" mod_unload ", b" preempt_rt "))
        told = answers(guest.json(str(spoilt), status=4)["files"][0])
        assert told["vermagic"]["verdict"] == "no"
        assert "Exec format error" in told["vermagic"]["because"]
        said, log = guest.insmod(spoilt)
        assert "Exec format error" in said
        assert "preempt_rt" in log

        spoilt.write_bytes(
            own.read_bytes().replace(b"sysfs_create_bin_file", b"sysfs_create_bin_fil3")
        )
        has_all_symbols = guest.json("--config", "KALLSYMS_ALL=y", status=0 if name == X86 else 4)
        told = answers(guest.json(str(spoilt), status=4 if name == X86 else 1)["files"][0])
        assert told["symbols"]["verdict"] == ("no" if name == X86 else "unknown"), has_all_symbols
        assert name == ARM or "sysfs_create_bin_fil3" in told["symbols"]["because"]
        said, log = guest.insmod(spoilt)
        assert "No such file or directory" in said
        assert "Unknown symbol sysfs_create_bin_fil3" in log


@pytest.mark.parametrize("name", [ARM, X86])
def test_a_module_built_for_it(name: str, state: Path, adb: Server, tmp_path: Path) -> None:
    """With no kernel tree: from what was pulled, judged by the device, and then really loaded."""
    with asked(name, "userdebug", adb, tmp_path / "cache") as guest:
        assert guest.run("pull").returncode == 0
        symvers = ["--symvers", str(distribution.distribution(name).symvers)]
        source = "tests/build/projects/features"
        done = guest.run("build", "module", source, "-o", str(tmp_path / "out"), "--json", *symvers)
        assert done.returncode == 0, done
        said = json.loads(done.stdout)
        assert said["symvers"]["official"] > 10_000
        for check in said["checks"]:
            told = answers(check)
            verdicts = {told[name]["verdict"] for name in ("vermagic", "layout", "crcs", "symbols")}
            assert verdicts == {"yes"}
        remote = "/data/local/tmp/features.ko"
        guest.device.push(tmp_path / "out/features.ko", remote)
        script = f"dmesg -c >/dev/null; insmod {remote} level=4 && rmmod features; rm {remote}"
        assert "features: 5 1 7 1" in guest.root(f"{script}; dmesg")


def answers(report: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {answer["name"]: answer for answer in report["answers"]}


def test_objects_for_it(state: Path, adb: Server, tmp_path: Path) -> None:
    """By the kernel's own BTF, which root reads, or which is cached."""
    good, bad = tmp_path / "good.o", tmp_path / "bad.o"
    struct = "struct task_struct {{ int {}; }} __attribute__((preserve_access_index));"
    good.write_bytes(program("x = t->pid", struct.format("pid")))
    bad.write_bytes(program("x = t->no_such_member", struct.format("no_such_member")))
    with asked(ARM, "userdebug", adb, tmp_path / "cache") as guest:
        said = guest.json(str(good), str(bad), status=4)["files"]
        assert [file["verdict"] for file in said] == ["yes", "no"]
        assert "no_such_member" in said[1]["because"]
        assert said[0]["relocations"]["found"] == 1
        name = guest.run("pull", "--json")
        cached = json.loads(name.stdout)["bundle"]
        offline = guest.json("--bundle", cached, str(good), str(bad), status=4)["files"]
        assert [file["verdict"] for file in offline] == ["yes", "no"]
