"""A device that runs the real scripts in a real sh, below a directory, behind a fake adb server.

For what a real kernel does not do on demand: lie about its release, stall, vanish after so many
bytes. Absolute paths of a script are moved below `root`; the commands that would touch the host's
kernel are scripts in `bin`.
"""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests import archives
from tests.adb.fake_server import FakeServer, Handler, Peer, packet
from tests.archives import RELEASE

VERSION = "#1 SMP PREEMPT Debian 6.1.99-1 (2026-01-01)"
BUILD_ID = bytes(range(20))
_ROOTED = re.compile(
    r"(?<![\w.$/}])/(?=(sys|proc|system_dlkm|vendor_dlkm|odm_dlkm|vendor|odm|system|lib)/)"
)
_MODULE = "system_dlkm/lib/modules/any/kernel/kernel/kheaders.ko"

_TOOLS = {
    "uname": "#!/bin/sh\ncat {root}/uname\n",
    "getprop": "#!/bin/sh\n[ $1 = ro.build.type ] && echo userdebug || echo 1\n",
    "getenforce": "#!/bin/sh\necho Enforcing\n",
    "id": '#!/bin/sh\n[ "$FAKE_ROOT" = 1 ] && echo 0 || echo 2000\n',
    "insmod": """#!/bin/sh
echo "insmod $1" >>{root}/log
[ "$FAKE_ROOT" = 1 ] || {{ echo "insmod: failed to load $1: Operation not permitted" >&2; exit 1; }}
[ ! -e {root}/refuse ] || {{ echo "insmod: failed to load $1: Exec format error" >&2; exit 1; }}
mkdir -p {root}/sys/module/kheaders
cp {root}/payload {root}/sys/kernel/kheaders.tar.xz
""",
    "rmmod": """#!/bin/sh
echo "rmmod $1" >>{root}/log
rm -r {root}/sys/module/kheaders {root}/sys/kernel/kheaders.tar.xz
""",
    # AOSP's: a user, then a command.
    "su": '#!/bin/sh\n[ "$1" = 0 ] || exit 1\nshift\nFAKE_ROOT=1 exec "$@"\n',
}


class FakeDevice(FakeServer):
    """One device with one kernel. `archive` is what its kheaders module holds, None for none.

    `module` is the module's file, if not one that has the archive in it as the kernel's build puts
    it. `loaded` puts the archive into /sys at once. `fault` is called with the peer and the process
    before each piece of stdout of the script that reads the archive, with the bytes sent so far.
    """

    def __init__(
        self,
        root: Path,
        archive: bytes | None,
        *,
        release: str = RELEASE,
        machine: str = "aarch64",
        version: str = VERSION,
        build_id: bytes = BUILD_ID,
        module: bytes | None = None,
        loaded: bool = False,
        su: bool = True,
        serial: str = "fake-1",
        fault: Callable[[FakeDevice, Peer, int], None] | None = None,
    ) -> None:
        super().__init__(f"{serial} device product:p model:Fake device:d transport_id:3\n")
        self.root = root
        self.fault = fault
        self.scripts: list[str] = []
        self._lay_out(release, machine, version, build_id)
        if archive is not None:
            self.write("payload", archive)
            if loaded:
                self.write("sys/kernel/kheaders.tar.xz", archive)
            else:
                held = archives.module(archive, release=release) if module is None else module
                self.write(_MODULE, held)
        if not su:
            (root / "bin/su").unlink()

    def write(self, path: str, data: bytes) -> None:
        """Put a file below the device's root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    @property
    def log(self) -> list[str]:
        """Return the modules that were loaded and unloaded, in order, by base name."""
        path = self.root / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [re.sub(r" .*/", " ", line) for line in lines]

    @property
    def module_loaded(self) -> bool:
        """Tell whether the kheaders module is loaded now."""
        return (self.root / "sys/module/kheaders").exists()

    def _lay_out(self, release: str, machine: str, version: str, build_id: bytes) -> None:
        for name in ("sys/kernel", "sys/module", "proc/self/attr", "bin"):
            (self.root / name).mkdir(parents=True)
        self.write("uname", f"Linux {release} {version} {machine}\n".encode())
        self.write("proc/version", f"Linux version {release} (gcc-12) {version}\n".encode())
        self.write("proc/self/status", b"Name:\tsh\nUid:\t2000\t2000\t2000\t2000\n")
        self.write("proc/self/smaps", b"0-1 r-xp 0 0:0 0 /sh\nKernelPageSize:        4 kB\n")
        self.write("proc/self/attr/current", b"u:r:shell:s0\0")
        if build_id:
            note = struct.pack("<III", 4, len(build_id), 3) + b"GNU\0" + build_id
            self.write("sys/kernel/notes", note)
        for name, text in _TOOLS.items():
            self.write(f"bin/{name}", text.format(root=self.root).encode())
            (self.root / "bin" / name).chmod(0o755)

    def _handler(self, service: str) -> Handler | None:
        if service.startswith("shell,v2,raw:"):
            return partial(self._run, service.partition("raw:")[2])
        return super()._handler(service)

    def _run(self, script: str, peer: Peer) -> None:
        self.scripts.append(script)
        peer.send(b"OKAY")
        with subprocess.Popen(
            ["sh", "-c", _ROOTED.sub(f"{self.root}/", script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": f"{self.root}/bin:{os.environ['PATH']}"},
            start_new_session=True,
        ) as process:
            try:
                self._pump(process, peer, reads_archive="insmod" in script)
            except BaseException:
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                raise

    def _pump(self, process: subprocess.Popen[bytes], peer: Peer, *, reads_archive: bool) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        lock = threading.Lock()

        def errors(source: int) -> None:
            with suppress(OSError):  # the host left
                while data := os.read(source, 4096):
                    with lock:
                        peer.send(packet(2, data))

        thread = threading.Thread(target=errors, args=(process.stderr.fileno(),))
        thread.start()
        sent = 0
        try:
            # A page a read, as kernfs gives it.
            while data := os.read(process.stdout.fileno(), 4096):
                if reads_archive and self.fault:
                    self.fault(self, peer, sent)
                with lock:
                    peer.send(packet(1, data.replace(f"{self.root}/".encode(), b"/")))
                sent += len(data)
        finally:
            # As adbd does when the host leaves: the pipe goes, and the script notices.
            process.stdout.close()
            thread.join(10)
        peer.send(packet(3, bytes([process.wait() & 0xFF])))
