"""The main job on real kernels, over real adb and the real adbd; and what goes wrong there."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from droidheaders.adb import Device, Selector, Server
from droidheaders.guest.guest import Guest
from droidheaders.run.scratch import scratch
from tests.archives import RELEASE, tar, xz
from tests.kernels import KERNELS, NAMES

pytestmark = pytest.mark.guest

ARM = "6.1-arm64"
X86 = "6.1-x86_64"
ARCHIVE = "/sys/kernel/kheaders.tar.xz"


@dataclass(frozen=True)
class Running:
    """A guest, and the command line turned towards it, with a cache of its own."""

    guest: Guest
    device: Device
    cache: Path

    def command(self, *arguments: str) -> list[str]:
        endpoint = self.device.server.endpoint
        where = ["-P", str(endpoint.port), "-s", self.guest.serial]
        return [sys.executable, "-m", "droidheaders", *where, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"DROIDHEADERS_CACHE": str(self.cache)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @contextmanager
    def pulling(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a pull and give it once the first bytes of the archive are here."""
        with subprocess.Popen(
            self.command(*arguments, "pull"),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                top = Path(arguments[1]) if "--cache-dir" in arguments else self.cache
                while not any(f.stat().st_size for f in top.rglob("archive.tar.xz")):
                    assert process.poll() is None, process.communicate()
                    time.sleep(0.002)
                yield process
            finally:
                process.kill()

    def root(self, script: str) -> str:
        """Run a script as root, whatever the persona calls that."""
        with self.device.privileged() as root:
            result = root.shell(script, timeout=120.0)
        assert result.status == 0, (script, result)
        return result.stdout.decode()

    def is_as_found(self) -> bool:
        """Tell whether the kheaders module is not loaded and the shell is who it was."""
        deadline = time.monotonic() + 10
        while "kheaders" in self.device.shell("cat /proc/modules").stdout.decode():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def cache_is_empty(self) -> bool:
        top = [self.cache / name for name in ("kernels", "index", "locks")]
        return not [p for p in self.cache.rglob("*") if p not in top]


@pytest.fixture(scope="module")
def module_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROIDHEADERS_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@contextmanager
def running(server: Server, name: str, persona: str, cache: Path) -> Iterator[Running]:
    with Guest.start(name, persona=persona, server=server) as guest:
        yield Running(guest, server.select(Selector(serial=guest.serial)), cache)


@pytest.fixture(scope="module")
def userdebug_guest(
    module_state: None, adb: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with running(adb, X86, "userdebug", tmp_path_factory.mktemp("cache")) as found:
        yield found


@pytest.fixture
def userdebug(userdebug_guest: Running, tmp_path: Path) -> Running:
    """A userdebug guest as it was booted, with an empty cache."""
    assert userdebug_guest.is_as_found()
    return Running(userdebug_guest.guest, userdebug_guest.device, tmp_path / "cache")


@pytest.fixture(scope="module")
def root_guest(
    module_state: None, adb: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with running(adb, ARM, "root", tmp_path_factory.mktemp("cache")) as found:
        yield found


def one_error(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], done.stderr
    assert done.stdout == ""
    return lines[0]


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel(name: str, module_state: None, adb: Server, tmp_path: Path) -> None:
    """Byte for byte what the module holds, and the tree that GNU tar makes of it."""
    with running(adb, name, "userdebug", tmp_path / "cache") as guest:
        done = guest.run("pull", "--json")
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["parts"] == ["headers", "config", "btf"]
        assert answer["archive"]["path"].endswith("/kheaders.ko")
        assert answer["archive"]["module_loaded"] is False
        assert answer["kernel"]["release"] == guest.device.shell("uname -r").stdout.decode().strip()
        assert (answer["warnings"], answer["state"], answer["missing"]) == ([], "usable", [])
        assert guest.is_as_found()
        headers = Path(answer["path"])
        archive = headers.parent / "archive.tar.xz"
        guest.root("insmod $(find /system_dlkm -name kheaders.ko)")
        held = base64.b64decode(guest.root(f"base64 {ARCHIVE}; rmmod kheaders"))
        assert archive.read_bytes() == held
        by_hand = tmp_path / "by-hand"
        by_hand.mkdir()
        subprocess.run(["tar", "xJf", archive, "-C", by_hand], check=True)
        subprocess.run(["diff", "-r", "--no-dereference", by_hand, headers], check=True)
        again = json.loads(guest.run("pull", "--json").stdout)
        assert (again["cached"], again["path"]) == (True, answer["path"])


HOW = {"userdebug": "su 0", "su": "su -c", "root": "shell"}


@pytest.mark.full
@pytest.mark.parametrize("persona", ["user", *HOW])
@pytest.mark.parametrize("name", NAMES)
def test_every_kernel_with_every_persona(
    name: str, persona: str, module_state: None, adb: Server, tmp_path: Path
) -> None:
    with running(adb, name, persona, tmp_path / "cache") as guest:
        done = guest.run("pull", "--json")
        if persona == "user":
            assert done.returncode == 5
            assert json.loads(done.stdout)["error"]["kind"] == "no-root"
            assert guest.cache_is_empty()
        else:
            assert done.returncode == 0, done.stderr
            answer = json.loads(done.stdout)
            assert (answer["archive"]["as"], answer["state"]) == (HOW[persona], "usable")
        assert guest.is_as_found()


def test_su_is_enough(userdebug: Running) -> None:
    """`adb root` would restart adbd and end every other session; su does not."""
    adbd = userdebug.root("pidof adbd")
    answer = json.loads(userdebug.run("pull", "--json").stdout)
    assert answer["archive"]["as"] == "su 0"
    assert userdebug.root("pidof adbd") == adbd
    assert userdebug.is_as_found()


def test_adb_root_where_there_is_no_su_and_back(
    module_state: None, adb: Server, tmp_path: Path
) -> None:
    with running(adb, X86, "userdebug", tmp_path / "cache") as guest:
        guest.root("rm /system/xbin/su")
        assert guest.device.shell("su 0 id").status != 0
        done = guest.run("pull", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["archive"]["as"] == "adb root"
        assert guest.device.shell("id -u").stdout == b"2000\n"
        assert guest.is_as_found()


def test_the_next_pull_takes_back_the_root_of_a_killed_one(
    module_state: None, adb: Server, tmp_path: Path
) -> None:
    with running(adb, X86, "userdebug", tmp_path / "cache") as guest:
        guest.root("rm /system/xbin/su")
        with guest.pulling() as process:
            process.kill()
            process.communicate(timeout=30)
        assert guest.device.shell("id -u").stdout == b"0\n"
        done = guest.run("pull")
        assert done.returncode == 0
        assert "cut off: adbd runs as the shell's user again" in done.stderr
        assert guest.device.shell("id -u").stdout == b"2000\n"
        assert guest.is_as_found()


def test_files_for_a_run_go_with_it(userdebug: Running) -> None:
    with scratch(userdebug.device) as path:
        userdebug.device.push(b"echo it ran\n", f"{path}/script")
        assert userdebug.device.shell(f"sh {path}/script").stdout == b"it ran\n"
        userdebug.root(f"mkdir -m 700 {path}/of-root; echo x >{path}/of-root/file")
    assert userdebug.device.shell("ls /data/local/tmp").stdout == b""


def test_magisk_s_su(module_state: None, adb: Server, tmp_path: Path) -> None:
    with running(adb, ARM, "su", tmp_path / "cache") as guest:
        done = guest.run("pull", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["archive"]["as"] == "su -c"
        assert guest.is_as_found()


def test_a_module_but_no_root(module_state: None, adb: Server, tmp_path: Path) -> None:
    with running(adb, ARM, "user", tmp_path / "cache") as guest:
        done = guest.run("pull")
        assert done.returncode == 5
        assert "no root" in one_error(done)
        assert guest.cache_is_empty()
        assert guest.is_as_found()


def test_a_module_that_only_the_kernel_understands(
    module_state: None, adb: Server, tmp_path: Path
) -> None:
    """Behind 64 KiB of a section of ours, the archive is not looked for: the module is loaded."""
    with running(adb, X86, "userdebug", tmp_path / "cache") as guest:
        found = guest.root("find /system_dlkm -name kheaders.ko").strip()
        plain, padded = tmp_path / "plain.ko", tmp_path / "padded.ko"
        plain.write_bytes(base64.b64decode(guest.root(f"base64 {found}")))
        _pad(plain, padded)
        guest.device.push(padded, "/data/local/tmp/padded.ko")
        guest.root(f"cp /data/local/tmp/padded.ko {found}; rm /data/local/tmp/padded.ko")
        done = guest.run("pull", "--json")
        assert done.returncode == 0, done.stderr
        archive = json.loads(done.stdout)["archive"]
        assert (archive["path"], archive["module_loaded"]) == (ARCHIVE, True)
        assert guest.is_as_found()
        for number in (signal.SIGINT, signal.SIGKILL):
            with guest.pulling("--cache-dir", str(tmp_path / number.name)) as process:
                process.send_signal(number)
                process.communicate(timeout=30)
            assert guest.is_as_found()


def _pad(plain: Path, padded: Path) -> None:
    """Move everything behind the ELF header 128 KiB further, which no loader minds."""
    gap = 128 * 1024
    image = plain.read_bytes()
    shoff, count = struct.unpack_from("<Q", image, 40)[0], struct.unpack_from("<H", image, 60)[0]
    moved = bytearray(image[:64] + bytes(gap) + image[64:])
    struct.pack_into("<Q", moved, 40, shoff + gap)
    for i in range(count):
        at = shoff + gap + i * 64 + 24
        offset = struct.unpack_from("<Q", moved, at)[0]
        if offset:
            struct.pack_into("<Q", moved, at, offset + gap)
    padded.write_bytes(moved)


def test_a_kernel_without_kheaders(userdebug: Running) -> None:
    found = userdebug.root("find /system_dlkm -name kheaders.ko").strip()
    userdebug.root(f"mv {found} /data/local/tmp/aside")
    try:
        done = userdebug.run("pull")
        assert done.returncode == 4
        assert "carries no headers" in one_error(done)
        assert userdebug.cache_is_empty()
    finally:
        userdebug.root(f"mv /data/local/tmp/aside {found}")


def test_what_was_loaded_before_stays_loaded(userdebug: Running) -> None:
    userdebug.root("insmod $(find /system_dlkm -name kheaders.ko)")
    try:
        answer = json.loads(userdebug.run("pull", "--json").stdout)
        assert answer["archive"]["module_loaded"] is False
        assert "kheaders" in userdebug.root("cat /proc/modules")
    finally:
        userdebug.root("rmmod kheaders")


GOOD = xz(tar())


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (GOOD[:-100], "is cut off"),
        (GOOD + b"more", "goes on behind the end"),
        (b"\x1f\x8b" + bytes(2000), "is not xz"),
        (xz(b"no tar here\n" * 200), "not a tar archive"),
        (GOOD, f"is of another kernel: its UTS_RELEASE is '{RELEASE}'"),
    ],
)
def test_a_bad_archive_in_a_real_kernel(
    root_guest: Running, tmp_path: Path, archive: bytes, says: str
) -> None:
    """Mounted over the real one, since no kernel carries these."""
    guest = Running(root_guest.guest, root_guest.device, tmp_path / "cache")
    guest.device.push(archive, "/data/local/tmp/archive")
    guest.root("insmod $(find /system_dlkm -name kheaders.ko)")
    guest.root(f"mount -o bind /data/local/tmp/archive {ARCHIVE}")
    try:
        done = guest.run("pull")
        assert done.returncode == 5
        assert says in one_error(done)
        assert guest.cache_is_empty()
    finally:
        guest.root(f"umount {ARCHIVE}; rmmod kheaders; rm /data/local/tmp/archive")


def test_ctrl_c_at_any_moment(userdebug: Running) -> None:
    moments = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.7, 0.85, 1.0]
    interrupted = 0
    for moment in moments:
        with subprocess.Popen(
            userdebug.command("pull", "--refresh"),
            env=userdebug.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            time.sleep(moment)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        assert process.returncode in (0, 130, -signal.SIGINT), err
        assert "Traceback" not in err or moment < 0.2, err  # Python itself was still starting
        interrupted += process.returncode != 0
        assert userdebug.is_as_found()
        assert not list(userdebug.cache.glob("kernels/.staging-*"))
    assert interrupted >= 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle(userdebug: Running, number: signal.Signals) -> None:
    with userdebug.pulling() as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == ({signal.SIGINT: 130, signal.SIGTERM: 143}[number], "")
    assert "Traceback" not in err
    assert userdebug.cache_is_empty()
    assert userdebug.is_as_found()


def test_killed_in_the_middle_the_device_undoes_itself(userdebug: Running) -> None:
    with userdebug.pulling() as process:
        process.kill()
        process.communicate(timeout=30)
    assert userdebug.is_as_found()
    assert userdebug.run("pull").returncode == 0


def test_a_stalled_link(userdebug: Running) -> None:
    pid = userdebug.guest.instance.pid
    with userdebug.pulling("--timeout", "2") as process:
        os.kill(pid, signal.SIGSTOP)
        try:
            out, err = process.communicate(timeout=40)
        finally:
            os.kill(pid, signal.SIGCONT)
    assert (process.returncode, out) == (6, "")
    assert re.match(r"error: .*\nhint: .*\n$", err)
    assert userdebug.cache_is_empty()
    assert userdebug.is_as_found()


def test_unplugged_in_the_middle(module_state: None, adb: Server, tmp_path: Path) -> None:
    with running(adb, X86, "userdebug", tmp_path / "cache") as guest:
        with guest.pulling() as process:
            os.kill(guest.guest.instance.pid, signal.SIGKILL)
            out, err = process.communicate(timeout=40)
        assert (process.returncode, out) == (6, "")
        assert re.match(r"error: .*lost.*\nhint: .*\n$", err)
        assert guest.cache_is_empty()


def test_the_adb_server_killed_in_the_middle(userdebug: Running, root_guest: Running) -> None:
    server = userdebug.device.server
    with userdebug.pulling() as process:
        port = str(server.endpoint.port)
        subprocess.run(["adb", "-P", port, "kill-server"], check=True, capture_output=True)
        out, err = process.communicate(timeout=40)
    assert (process.returncode, out) == (6, "")
    assert re.match(r"error: .*adb server.*\nhint: .*\n$", err)
    assert userdebug.cache_is_empty()
    server.ensure_running()
    for guest in (userdebug, root_guest):
        server.connect(guest.guest.serial)
        guest.device.wait_for("device")
    assert userdebug.is_as_found()


def test_all_transfers_each_kernel_once(
    userdebug: Running, root_guest: Running, adb: Server, tmp_path: Path
) -> None:
    with running(adb, X86, "root", tmp_path / "cache") as twin:
        command = [sys.executable, "-m", "droidheaders", "-P", str(adb.endpoint.port)]
        done = subprocess.run(
            [*command, "pull", "--all", "--json"],
            env=userdebug.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert {d["serial"] for d in answer["devices"]} == {
            userdebug.guest.serial,
            root_guest.guest.serial,
            twin.guest.serial,
        }
        assert [d["cached"] for d in answer["devices"]].count(False) == 2
        assert len({d["path"] for d in answer["devices"]}) == 2
        listed = subprocess.run(
            [*command, "devices"],
            env=userdebug.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert listed.count("cached") == 3
