"""Each persona against the real adb: what its shell may do, and what gives root."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from droidheaders.adb import Server
from droidheaders.guest import process
from droidheaders.guest.guest import Guest

pytestmark = pytest.mark.guest

ARM = "6.1-arm64"
ARCHIVE = "/sys/kernel/kheaders.tar.xz"
MODULE = "/system_dlkm/lib/modules/$(uname -r)/kernel/kernel/kheaders.ko"
REFUSED = "Permission denied"

Adb = Callable[..., str]


@pytest.fixture
def start(state: Path, adb: Server) -> Iterator[Callable[[str], tuple[Guest, Adb]]]:
    """Start a guest with a persona, and give it with adb (the program) for it."""
    guests = []

    def one(persona: str) -> tuple[Guest, Adb]:
        guest = Guest.start(ARM, persona=persona, server=adb)
        guests.append(guest)

        def run(*arguments: str) -> str:
            command = ["adb", "-P", str(adb.endpoint.port), "-s", guest.serial, *arguments]
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
                stdin=subprocess.DEVNULL,
            )
            return done.stdout + done.stderr

        return guest, run

    yield one
    for guest in guests:
        guest.stop()


def test_user_gives_no_root_at_all(start: Callable[[str], tuple[Guest, Adb]]) -> None:
    _, adb = start("user")
    assert "uid=2000(shell) gid=2000(shell)" in (who := adb("shell", "id"))
    assert who.endswith("context=u:r:shell:s0\n")
    assert adb("shell", "getenforce; getprop ro.build.type") == "Enforcing\nuser\n"
    assert adb("shell", "getprop ro.debuggable; getprop no.such") == "0\n\n"
    assert "adbd cannot run as root in production builds" in adb("root")
    assert "adbd not running as root" in adb("unroot")
    assert "Not running as root" in adb("remount")
    assert "not found" in adb("shell", "su")
    assert REFUSED in adb("shell", f"cat {MODULE}")
    assert "Not root" in adb("shell", f"insmod {MODULE}")
    assert REFUSED in adb("shell", "cat /sys/kernel/vmcoreinfo")  # a plain sysfs file
    assert REFUSED in adb("pull", "/sys/kernel/vmcoreinfo", "/dev/null")
    assert adb("shell", "head -c 2 /proc/config.gz | xxd -p; grep CapBnd /proc/self/status") == (
        "1f8b\nCapBnd:\t0000000000000000\n"
    )


def test_userdebug_has_adb_root_and_aosp_su(start: Callable[[str], tuple[Guest, Adb]]) -> None:
    _, adb = start("userdebug")
    assert adb("shell", "id -u; su 0 id -u; su root id -Z") == "2000\n0\nu:r:su:s0\n"
    assert "su: invalid uid/gid '-c'" in adb("shell", "su -c id")
    assert adb("shell", f"su 0 insmod {MODULE}") == ""
    assert REFUSED in adb("shell", f"cat {ARCHIVE}")
    assert "avc:  denied  { read }" in adb("shell", "su 0 dmesg | grep kheaders")
    assert adb("shell", f"su 0 cat {ARCHIVE} | head -c 6 | xxd -p") == "fd377a585a00\n"

    assert adb("root") == "restarting adbd as root\n"
    adb("wait-for-device")
    assert adb("shell", f"id -u; head -c 6 {ARCHIVE} | xxd -p") == "0\nfd377a585a00\n"
    assert adb("root") == "adbd is already running as root\n"
    assert adb("unroot") == "restarting adbd as non root\n"
    adb("wait-for-device")
    assert adb("shell", "id -u") == "2000\n"


def test_su_is_magisks(start: Callable[[str], tuple[Guest, Adb]]) -> None:
    guest, adb = start("su")
    assert "adbd cannot run as root in production builds" in adb("root")
    assert adb("shell", "su -c 'id -u; id -Z'") == "0\nu:r:magisk:s0\n"
    assert "invalid option -- 'Z'" in adb("shell", "su -c id -Z")
    assert adb("shell", "su 0 -c 'id -u'; su root -c 'exit 7'; echo $?") == "0\n7\n"
    assert "No such file or directory" in adb("shell", "su 0 id")
    assert adb("shell", "su -c 'setprop two.lines \"a\nb\"'; getprop two.lines") == "a\nb\n"
    assert adb("shell", f"su -c 'insmod {MODULE}; rmmod kheaders; lsmod' | grep -c kheaders") == (
        "0\n"
    )
    adb("reboot")
    deadline = time.monotonic() + 10
    while process.is_alive(guest.instance.pid, guest.instance.started):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_root_is_root_from_the_start(start: Callable[[str], tuple[Guest, Adb]]) -> None:
    _, adb = start("root")
    assert adb("shell", f"id -u; insmod {MODULE} && head -c 6 {ARCHIVE} | xxd -p") == (
        "0\nfd377a585a00\n"
    )
    release = "$(uname -r)"
    load = f"rmmod kheaders; modprobe -d /system_dlkm/lib/modules/{release} kheaders; lsmod"
    assert "kheaders" in adb("shell", load)
    assert "insmod: failed to load /init: Exec format error" in adb("shell", "insmod /init")


def test_the_front_survives_what_is_not_adb(start: Callable[[str], tuple[Guest, Adb]]) -> None:
    guest, adb = start("userdebug")
    port = int(guest.serial.rpartition(":")[2])
    a_open = 0x4E45504F
    oversized = struct.pack("<6I", a_open, 1, 0, 1 << 30, 0, a_open ^ 0xFFFFFFFF)
    for rubbish in (b"GET / HTTP/1.0\r\n\r\n" * 4, oversized, oversized[:10], os.urandom(500)):
        for _ in range(6):  # more than it has room for in all
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(rubbish)
    assert adb("shell", "echo still here") == "still here\n"
