"""Debian's BCC in a guest, on headers that were pushed, and on the kernel's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from droidheaders.adb import Device, Selector, Server
from droidheaders.cache import Cache
from droidheaders.guest.guest import Guest
from droidheaders.pulling import pull
from droidheaders.pushing import push_headers, remove_headers

# Emulated, clang takes minutes for the headers of one tool: all tools at once, and on one kernel.
pytestmark = [pytest.mark.guest, pytest.mark.full]

# What is traced meanwhile: a program that is started, and opens a file, once a second.
SOMETHING = "while sleep 1; do cat /proc/version >/dev/null; done & trap 'kill %1' EXIT\n"
PATIENCE = 900.0  # seconds: clang, emulated, on a machine that does other things too
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

    def shows(self, environments: dict[str, str]) -> bool:
        """Tell whether tools of BCC say what they should of SOMETHING, each in its environment."""
        with ThreadPoolExecutor(len(environments)) as pool:
            return all(pool.map(self._shows, environments, environments.values()))

    def _shows(self, tool: str, environment: str) -> bool:
        script = f"export {environment or 'A=A'}\n{SOMETHING}debian {tool} 2>&1"
        said = b""
        with self.device.stream(script, idle_timeout=PATIENCE) as stream:
            for chunk in stream:
                said += chunk
                if re.search(SHOWN[tool], said, re.MULTILINE):
                    self.device.shell(f"pkill -f {tool.partition(' ')[0]}")
                    return True
        raise AssertionError(said)


@pytest.fixture(scope="module")
def tracer(adb: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROIDHEADERS_STATE", str(tmp_path_factory.mktemp("state")))
        with Guest.start("6.1-arm64-bcc", persona="root", server=adb, timeout=240) as guest:
            device = adb.select(Selector(serial=guest.serial))
            # BCC looks in /proc/kallsyms for how the names of system calls begin.
            assert device.shell("echo 0 >/proc/sys/kernel/kptr_restrict").status == 0
            yield Tracer(device, Cache(tmp_path_factory.mktemp("cache")))


def kheaders(tracer: Tracer) -> bool:
    return b"kheaders" in tracer.device.shell("cat /proc/modules").stdout


def test_on_headers_that_were_pushed(tracer: Tracer) -> None:
    """By the variable, and by the link that distributions have."""
    pull(tracer.device, tracer.cache)
    done = push_headers(tracer.device, tracer.cache)
    place = f"/lib/modules/{done.bundle.kernel.release}"
    made = tracer.device.shell(f"mkdir -p {place} && ln -s {done.path} {place}/build")
    assert made.status == 0, made
    variable = f"BCC_KERNEL_SOURCE={done.path}"
    assert tracer.shows({tool: "" if "opensnoop" in tool else variable for tool in SHOWN})
    assert tracer.device.shell(f"rm {place}/build").status == 0
    assert not kheaders(tracer)
    assert remove_headers(tracer.device) == [done.path]


def test_on_the_kernels_own(tracer: Tracer) -> None:
    loaded = tracer.device.shell("insmod $(find /system_dlkm -name kheaders.ko)")
    assert loaded.status == 0, loaded
    assert tracer.shows(dict.fromkeys(SHOWN, ""))
    assert kheaders(tracer)
