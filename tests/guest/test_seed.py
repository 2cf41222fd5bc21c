"""Archives with build artifacts, served by real kernels: pulled, and modules built by them.

Each of the three ways to host tools makes the module that Debian's own headers make.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from droidheaders.adb import Device, Selector, Server
from droidheaders.debian.arch import host_arch
from droidheaders.guest.guest import Guest
from droidheaders.shipped import emulator_dir
from tests import seed
from tests.build.distribution import loaded
from tests.seed import ARCHES, other

pytestmark = pytest.mark.guest

UNAME = {"x86_64": "x86_64", "arm64": "aarch64"}
Loaded = dict[str, tuple[int, int, int, bytes]]


@dataclass(frozen=True)
class Served:
    """What was pulled from a kernel that served archives, by the machine of the tools in them."""

    recipe: str
    place: Path
    pulled: dict[str, dict[str, object]]
    environment: dict[str, str]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "droidheaders", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def build(self, tools: str, *options: str) -> tuple[Loaded, str]:
        """Return the allocated sections of a module, and what was said while it was built."""
        work = self.place / "-".join(["out", tools, *(o.rpartition("=")[2] for o in options)])
        bundle = str(self.pulled[tools]["bundle"])
        project = emulator_dir() / "modules/several"
        done = self.run(
            "build", "module", str(project), "-o", str(work), "--bundle", bundle, *options
        )
        assert done.returncode == 0, done.stderr
        return loaded(Path(done.stdout.strip())), done.stderr


@pytest.fixture(scope="module")
def qemu(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory for PATH with QEMU's user mode: the host's, else Debian's, fetched once."""
    if found := shutil.which(f"qemu-{UNAME[other()]}"):
        return str(Path(found).parent)
    return str(seed.qemu_user(tmp_path_factory.mktemp("qemu")))


@pytest.fixture(
    scope="module",
    params=["6.1-arm64", pytest.param("6.1-x86_64", marks=pytest.mark.full)],
)
def served(
    request: pytest.FixtureRequest,
    adb: Server,
    qemu: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    name: str = request.param
    place = tmp_path_factory.mktemp("seed")
    tree = seed.headers(name, place / "tree")
    packed = {}
    for arch in ARCHES:
        tools = seed.kbuild(name, arch, place / f"tools-{arch}")
        packed[arch] = seed.archive(tree, tools, place / f"{arch}.txz")
    state = str(place / "state")
    environment = os.environ | {
        "DROIDHEADERS_CACHE": str(place / "cache"),
        "DROIDHEADERS_STATE": state,
        "PATH": f"{qemu}:{os.environ['PATH']}",
        "ANDROID_ADB_SERVER_PORT": str(adb.endpoint.port),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROIDHEADERS_STATE", state)
        found = Served(name, place, {}, environment)
        with Guest.start(name, persona="userdebug", server=adb) as guest:
            device = adb.select(Selector(serial=guest.serial))
            for arch in ARCHES:
                module = seed.module(name, packed[arch], place / f"build-{arch}")
                found.pulled[arch] = pull(found, device, module)
        yield found


def pull(served: Served, device: Device, module: Path) -> dict[str, object]:
    """Pull what a module serves at /proc/kheaders.txz."""
    device.push(module, "/data/local/tmp/seed.ko")
    with device.privileged() as root:
        assert root.shell("insmod /data/local/tmp/seed.ko").status == 0
        done = served.run("-s", device.serial, "pull", "--refresh", "--json")
        after = root.shell("rmmod seed && rm /data/local/tmp/seed.ko; dmesg | grep -c 'BUG\\|Oops'")
    assert after.stdout == b"0\n"
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def truth(served: Served) -> Loaded:
    """The allocated sections of the module that Debian's headers make."""
    work = served.place / "truth"
    shutil.copytree(emulator_dir() / "modules/several", work)
    seed.make(served.recipe, work)
    return loaded(work / "several.ko")


@pytest.mark.parametrize("tools", ARCHES)
def test_the_archive_is_found_and_described(served: Served, tools: str) -> None:
    told = served.pulled[tools]
    archive = told["archive"]
    assert isinstance(archive, dict)
    assert (archive["path"], archive["as"]) == ("/proc/kheaders.txz", "su 0")
    packed = served.place / f"{tools}.txz"
    assert archive["size"] == packed.stat().st_size
    built = told["artifacts"]
    assert isinstance(built, dict)
    assert built["parts"] == ["Makefile", "scripts", "Module.symvers", ".config"]
    assert built["machines"] == [UNAME[tools]]
    assert told["state"] == "usable"


@pytest.mark.parametrize("tools", ARCHES)
def test_tools_from_elsewhere(served: Served, truth: Loaded, tools: str) -> None:
    made, said = served.build(tools)
    assert made == truth
    assert f"brought its own for {UNAME[tools]}, but programs from a device" in said


def test_the_tools_in_the_archive(served: Served, truth: Loaded) -> None:
    made, said = served.build(host_arch(), "--host-tools=archive")
    assert made == truth
    assert f"as asked: programs for {UNAME[host_arch()]} that came with its headers" in said


def test_the_tools_of_another_machine(served: Served, truth: Loaded) -> None:
    bundle = str(served.pulled[other()]["bundle"])
    refused = served.run("kdir", "--bundle", bundle, "--host-tools=archive")
    assert refused.returncode == 1
    assert f"are for {UNAME[other()]}, and this host is {UNAME[host_arch()]}" in refused.stderr
    assert "Exec format error" not in refused.stderr
    made, said = served.build(other(), "--host-tools=qemu")
    assert made == truth
    assert f"through QEMU, as asked: programs for {UNAME[other()]}" in said
