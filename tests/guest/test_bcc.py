"""Debian's BCC in a guest, on headers that were pushed, and on the kernel's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from droidheaders.adb import Device, Selector, Server
from droidheaders.cache import Cache
from droidheaders.guest.guest import Guest
from droidheaders.pulling import pull
from droidheaders.pushing import push_headers, remove_headers

# Emulated, clang takes minutes for the headers of one tool.
pytestmark = [pytest.mark.guest, pytest.mark.full]

# What is traced meanwhile: a program that is started, and opens a file, once a second.
SOMETHING = "while sleep 1; do cat /proc/version >/dev/null; done & trap 'kill %1' EXIT\n"
PATIENCE = 240.0  # seconds: clang, emulated, on a machine that does other things too
SHOWN = {
    "execsnoop-bpfcc": rb"^cat .*/cat /proc/version$",
    "opensnoop-bpfcc -n cat": rb"^\d+ +cat +\d+ +0 /proc/version$",
    "funccount-bpfcc -d 3 vfs_read": rb"^b?'?vfs_read'? +[1-9]\d*$",
}


@dataclass(frozen=True)
class Tracer:
    """A guest with BCC, its shell root."""

    device: Device
    cache: Cache

    def shows(self, tool: str, environment: str = "") -> bool:
        """Tell whether a tool of BCC says what it should of SOMETHING."""
        script = f"export {environment or 'A=A'}\n{SOMETHING}debian {tool} 2>&1"
        said = b""
        with self.device.stream(script, idle_timeout=PATIENCE) as stream:
            for chunk in stream:
                said += chunk
                if re.search(SHOWN[tool], said, re.MULTILINE):
                    self.device.shell(f"pkill -f {tool.partition(' ')[0]}")
                    return True
        raise AssertionError(said)


@pytest.fixture(scope="module", params=["6.1-arm64-bcc", "6.1-x86_64-bcc"])
def tracer(
    request: pytest.FixtureRequest, adb: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tracer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROIDHEADERS_STATE", str(tmp_path_factory.mktemp("state")))
        with Guest.start(request.param, persona="root", server=adb, timeout=240) as guest:
            device = adb.select(Selector(serial=guest.serial))
            # BCC looks in /proc/kallsyms for how the names of system calls begin.
            assert device.shell("echo 0 >/proc/sys/kernel/kptr_restrict").status == 0
            yield Tracer(device, Cache(tmp_path_factory.mktemp("cache")))


def kheaders(tracer: Tracer) -> bool:
    return b"kheaders" in tracer.device.shell("cat /proc/modules").stdout


def test_on_headers_that_were_pushed(tracer: Tracer) -> None:
    pull(tracer.device, tracer.cache)
    done = push_headers(tracer.device, tracer.cache)
    for tool in SHOWN:
        assert tracer.shows(tool, f"BCC_KERNEL_SOURCE={done.path}")
    release = done.bundle.kernel.release
    link = f"mkdir -p /lib/modules/{release} && ln -s {done.path} /lib/modules/{release}/build"
    assert tracer.device.shell(link).status == 0
    assert tracer.shows("execsnoop-bpfcc")
    assert tracer.device.shell("rm -r /lib/modules").status == 0
    assert not kheaders(tracer)
    assert remove_headers(tracer.device) == [done.path]


def test_on_the_kernels_own(tracer: Tracer) -> None:
    loaded = tracer.device.shell("insmod $(find /system_dlkm -name kheaders.ko)")
    assert loaded.status == 0, loaded
    for tool in SHOWN:
        assert tracer.shows(tool)
    assert kheaders(tracer)
