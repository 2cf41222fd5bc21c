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
from tests.kernels import KERNELS

pytestmark = pytest.mark.guest

ARM = "6.1-arm64"
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

    def root(self, script: str) -> str:
        with self.device.privileged() as root:
            result = root.shell(script, timeout=60.0)
        assert result.status == 0, result
        return result.stdout.decode()


@contextmanager
def asked(name: str, persona: str, server: Server, cache: Path) -> Iterator[Asked]:
    with Guest.start(name, persona=persona, server=server) as guest:
        yield Asked(server.select(Selector(serial=guest.serial)), cache)


@pytest.mark.parametrize("persona", ["user", "userdebug", "su"])
@pytest.mark.parametrize("name", KERNELS)
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
        said = guest.json("--for", "bpf", "--probe")["bpf"]["types"]
        assert said["kprobe"]["because"] == "one was loaded and attached on the device"
        assert said["kprobe"]["probed"] == [0, 0]
        assert said["fentry"]["probed"] == [0, 524]
        assert said["fentry"]["verdict"] == "no"
        assert guest.root("ls /data/local/tmp") == ""


def test_files_for_it(state: Path, adb: Server, tmp_path: Path) -> None:
    """The kheaders module of the very kernel, and of another one."""
    with asked(ARM, "userdebug", adb, tmp_path / "cache") as guest:
        own = tmp_path / "kheaders.ko"
        with guest.device.privileged() as root:
            own.write_bytes(root.shell(f"cat {KHEADERS}").stdout)
        other = tmp_path / "other.ko"
        other.write_bytes(own.read_bytes().replace(b" mod_unload ", b" preempt_rt "))
        assert guest.json(str(own), status=1)["verdict"] == "unknown"  # it has no KALLSYMS_ALL
        said = guest.json(str(own), str(other), status=4)["files"]
        assert [file["path"] for file in said] == [str(own), str(other)]
        mine, others = ({a["name"]: a for a in file["answers"]} for file in said)
        assert mine["layout"]["because"].endswith("as in the kernel's BTF")
        assert mine["release"]["verdict"] == "yes"
        assert others["vermagic"]["verdict"] == "no"
        with guest.device.privileged() as root:
            guest.device.push(other, "/data/local/tmp/other.ko")
            refused = root.shell(
                "insmod /data/local/tmp/other.ko; rm /data/local/tmp/other.ko; dmesg"
            )
            assert "Exec format error" in refused.stderr.decode()
            assert "preempt_rt modversions aarch64' should be" in refused.stdout.decode()
        assert not {a["verdict"] for a in mine.values()} & {"no", "risky"}
