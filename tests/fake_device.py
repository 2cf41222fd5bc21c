"""A device that runs the real scripts in a real sh, below a directory, behind a fake adb server.

For what a real kernel does not do on demand: lie about its release, stall, vanish after so many
bytes. Absolute paths of a script are moved below `root`; the commands that would touch the host's
kernel are scripts in `bin`.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests import archives
from tests.adb.fake_server import FakeServer, Handler, Peer, packet
from tests.archives import RELEASE

VERSION = "#1 SMP PREEMPT Debian 6.1.99-1 (2026-01-01)"
BUILD_ID = bytes(range(20))
_ROOTED = re.compile(
    r"(?<![\w.$/}])/(?=(sys|proc|system_dlkm|vendor_dlkm|odm_dlkm|vendor|odm|system|lib|data)/)"
)
_MODULE = "system_dlkm/lib/modules/any/kernel/kernel/kheaders.ko"

# A kernel loads and unloads a module whole or not at all, whoever is killed: hence setsid.
_TOOLS = {
    "uname": "cat {root}/uname\n",
    "getprop": """\
case $1 in
  "") cat {root}/properties;;
  ro.build.type) echo userdebug;;
  *) echo 1;;
esac
""",
    "dmesg": "cat {root}/dmesg\n",
    "getenforce": "echo Enforcing\n",
    "id": '[ "$FAKE_ROOT" = 1 ] && echo 0 || echo 2000\n',
    "insmod": """\
echo "insmod $1" >>{root}.log
[ "$FAKE_ROOT" = 1 ] || {{ echo "insmod: failed to load $1: Operation not permitted" >&2; exit 1; }}
[ ! -e {root}/refuse ] || {{ echo "insmod: failed to load $1: Exec format error" >&2; exit 1; }}
setsid -w sh -c 'mkdir -p {root}/sys/module/kheaders
cp {root}/payload {root}/sys/kernel/kheaders.tar.xz'
""",
    "rmmod": """\
echo "rmmod $1" >>{root}.log
setsid -w rm -r {root}/sys/module/kheaders {root}/sys/kernel/kheaders.tar.xz
""",
    # AOSP's: a user, then a command.
    "su": """\
[ "$1" = 0 ] || {{ echo "su: invalid uid/gid '$1'" >&2; exit 1; }}
shift
[ "$1" != sh ] || set -- sh -c "$(printf %s "$3" | sed '{seen_by_root}')"
FAKE_ROOT=1 exec "$@"
""",
}
# Magisk's and KernelSU's: what follows a user is a script's file.
_MAGISK = """\
[ "$1" = -c ] || {{ echo "sh: $2: No such file or directory" >&2; exit 127; }}
FAKE_ROOT=1 exec sh -c "$(printf %s "$2" | sed '{seen_by_root}')"
"""
# What a script for root finds elsewhere below the device's directory than the shell does.
_SEEN_BY_ROOT = "s,{root}/denied/,{root}/,g;s,{root}/proc/self/,{root}/su/proc/self/,g"

# What a script's packets (1 stdout, 2 stderr, 3 exit status) become on the wire.
Link = Callable[[Iterator[tuple[int, bytes]]], Iterator[bytes]]


def faithful(packets: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
    """Send every packet as it is."""
    for kind, data in packets:
        yield packet(kind, data)


class FakeDevice(FakeServer):
    """One device with one kernel. `archive` is what its kheaders module holds, None for none.

    `module` is the module's file, if not one that has the archive in it as the kernel's build puts
    it. `loaded` puts the archive into /sys at once. For the script that reads the archive, `fault`
    is called with the peer before each piece of stdout, with the bytes sent so far, and `link`
    makes of its packets what is sent. `path` is where commands are looked for behind the device's
    own `bin`. What a script leaves behind shows below `root`, where it runs. An `abrupt` device
    kills what runs when the host leaves, before any trap of it. `running` counts the scripts that
    have not ended. Of root by su, /proc/self is below `root`/su.
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
        self.link: Link = faithful
        self.abrupt = False
        self.running = 0
        self.path = os.environ["PATH"]
        self.scripts: list[str] = []
        self._denied: list[str] = []
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

    def tool(self, name: str, script: str) -> None:
        """Put a command into the device's `bin`."""
        self.write(f"bin/{name}", f"#!/bin/sh\n{script}\n".encode())
        (self.root / "bin" / name).chmod(0o755)

    def deny(self, *paths: str) -> None:
        """Have the shell, and not root, be refused these files, and directories as if not there.

        A glob finds such a file, and stat(2) does not: here by a link that leads nowhere.
        """
        for path in paths:
            self._denied.append(path)
            link = self.root / f"denied{path}"
            link.parent.mkdir(parents=True, exist_ok=True)
            if (self.root / path.lstrip("/")).is_file():
                link.symlink_to("nowhere")

    def magisk(self) -> None:
        """Have a su that takes -c instead of AOSP's."""
        self.tool("su", _MAGISK.format(seen_by_root=_SEEN_BY_ROOT.format(root=self.root)))
        self.write("su/proc/self/attr/current", b"u:r:magisk:s0\0")

    def run_adbd_as(self, uid: int) -> None:
        """Have the shell's user be root (0) or shell (2000)."""
        self.uid = uid
        self.write("proc/self/status", _status(uid))
        self.write("proc/self/attr/current", b"u:r:su:s0\0" if uid == 0 else b"u:r:shell:s0\0")
        for name in ("status", "attr/current"):
            os.utime(self.root / "proc/self" / name, (0, 0))  # as if it had never been another

    @property
    def log(self) -> list[str]:
        """Return the modules that were loaded and unloaded, in order, by base name."""
        path = Path(f"{self.root}.log")
        lines = path.read_text().splitlines() if path.exists() else []
        return [re.sub(r" .*/", " ", line) for line in lines]

    @property
    def module_loaded(self) -> bool:
        """Tell whether the kheaders module is loaded now."""
        return (self.root / "sys/module/kheaders").exists()

    def _lay_out(self, release: str, machine: str, version: str, build_id: bytes) -> None:
        for name in ("sys/kernel", "sys/module", "proc/self/attr", "bin", "data/local/tmp"):
            (self.root / name).mkdir(parents=True)
        self.write("uname", f"Linux {release} {version} {machine}\n".encode())
        self.write("proc/version", f"Linux version {release} (gcc-12) {version}\n".encode())
        self.run_adbd_as(2000)
        self.write("proc/self/smaps", b"0-1 r-xp 0 0:0 0 /sh\nKernelPageSize:        4 kB\n")
        self.write("su/proc/self/status", _status(0))
        self.write("su/proc/self/attr/current", b"u:r:su:s0\0")
        self.write("properties", b"[ro.build.type]: [userdebug]\n[ro.debuggable]: [1]\n")
        self.write("proc/sys/kernel/random/boot_id", b"01234567-89ab-cdef-0123-456789abcdef\n")
        if build_id:
            note = struct.pack("<III", 4, len(build_id), 3) + b"GNU\0" + build_id
            self.write("sys/kernel/notes", note)
        for name, text in _TOOLS.items():
            seen = _SEEN_BY_ROOT.format(root=self.root)
            self.tool(name, text.format(root=self.root, seen_by_root=seen))

    def _handler(self, service: str) -> Handler | None:
        if service.startswith("shell,v2,raw:"):
            return partial(self._run, service.partition("raw:")[2])
        if service in ("root:", "unroot:"):
            return partial(self._restart, 0 if service == "root:" else 2000)
        return super()._handler(service)

    def _restart(self, uid: int, peer: Peer) -> None:
        if self.uid == uid:
            peer.send(b"OKAYadbd is already running as root\n" if uid == 0 else b"OKAY")
        else:
            self.run_adbd_as(uid)
            peer.send(b"OKAYrestarting adbd\n")

    def _run(self, script: str, peer: Peer) -> None:
        self.scripts.append(script)
        self.running += 1
        try:
            peer.send(b"OKAY")
            self._execute(script, peer)
        finally:
            self.running -= 1

    def _below(self, script: str) -> str:
        """Return a script with its paths moved to where they are below `root`."""
        script = _ROOTED.sub(f"{self.root}/", script)
        for path in self._denied if self.uid != 0 else ():
            script = script.replace(f"{self.root}{path}", f"{self.root}/denied{path}")
        return script

    def _execute(self, script: str, peer: Peer) -> None:
        with subprocess.Popen(
            ["sh", "-c", self._below(script)],
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": f"{self.root}/bin:{self.path}", "FAKE_ROOT": str(int(self.uid == 0))},
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            packets = self._packets(process, peer)
            if "insmod" in script:
                packets = self._faulty(packets, peer)
            try:
                for data in self.link(packets) if "insmod" in script else faithful(packets):
                    peer.send(data)
            finally:
                if self.abrupt and process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                # As adbd does when the host leaves: the pipes go, and the script notices.
                process.stdout.close()
                process.stderr.close()
                try:
                    process.wait(3)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)

    def _packets(self, process: subprocess.Popen[bytes], peer: Peer) -> Iterator[tuple[int, bytes]]:
        moved = re.compile(re.escape(f"{self.root}/".encode()) + rb"(?:denied/|su/)?")
        places = [f"{self.root}/{place}/".encode() for place in ("denied", "su")]
        kept = {1: b"", 2: b""}
        with selectors.DefaultSelector() as selector:
            for source, kind in ((process.stdout, 1), (process.stderr, 2), (peer.socket, 0)):
                assert source is not None
                selector.register(source, selectors.EVENT_READ, kind)
            while len(selector.get_map()) > 1:
                for key, _ in selector.select():
                    data = os.read(key.fd, 4096)  # a page a read, as kernfs gives it
                    if key.data == 0:
                        if not data:
                            raise EOFError  # the host left
                        continue
                    if not data:
                        selector.unregister(key.fileobj)
                    whole = kept[key.data] + data
                    # A path of ours may go on in the next read.
                    cut = max(_begun(whole, place) for place in places) if data else 0
                    kept[key.data] = whole[len(whole) - cut :]
                    if whole := moved.sub(b"/", whole[: len(whole) - cut]):
                        yield key.data, whole
        yield 3, bytes([process.wait() & 0xFF])

    def _faulty(
        self, packets: Iterator[tuple[int, bytes]], peer: Peer
    ) -> Iterator[tuple[int, bytes]]:
        sent = 0
        for kind, data in packets:
            if kind == 1:
                if self.fault:
                    self.fault(self, peer, sent)
                sent += len(data)
            yield kind, data


def _status(uid: int) -> bytes:
    """Return /proc/self/status: root has every capability, another user none."""
    caps = (1 << 41) - 1 if uid == 0 else 0
    users = "\t".join([str(uid)] * 4)
    return f"Name:\tsh\nUid:\t{users}\nCapEff:\t{caps:016x}\n".encode()


def _begun(data: bytes, path: bytes) -> int:
    """Return how much of `path` is the end of `data`: the next read may go on with it."""
    return next((n for n in range(len(path) - 1, 0, -1) if data.endswith(path[:n])), 0)
