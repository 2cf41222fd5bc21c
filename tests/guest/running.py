"""A guest, and the command line turned towards it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from droidheaders.adb import Device, Selector, Server
from droidheaders.guest.guest import Guest


@dataclass(frozen=True)
class Running:
    """A guest of an architecture, with a place for files on this host; run() is the CLI."""

    device: Device
    arch: str
    place: Path
    pid: int

    def command(self, *arguments: str) -> list[str]:
        where = ["-P", str(self.device.server.endpoint.port), "-s", self.device.serial]
        return [sys.executable, "-m", "droidheaders", *where, *arguments]

    def run(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            check=False,
            timeout=120,
        )

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Give a command that runs; it is killed when the test fails before it has ended.

        Ctrl-C reaches it also when we are in a shell's background, where SIGINT is ignored.
        """
        with subprocess.Popen(
            ["env", "--default-signal=INT", *self.command(*arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    def json(self, *arguments: str) -> list[Any]:
        """Return the lines of `run bpf --json`, whose last is the verdict."""
        done = self.run("run", "bpf", "--json", *arguments)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines, done
        assert lines[-1]["schema"] == 1
        assert lines[-1]["exit_code"] == done.returncode, done
        return lines

    def root(self, script: str) -> str:
        with self.device.privileged() as root:
            return root.shell(script, timeout=60.0).stdout.decode()

    def left(self) -> str:
        """Return what is left of runs on the device: nothing, if all is well."""
        return self.root("ls -A /data/local/tmp; pidof loader; ls /sys/fs/bpf")


@contextmanager
def running(name: str, persona: str, server: Server, place: Path) -> Iterator[Running]:
    with Guest.fresh(name, persona=persona, server=server) as guest:
        device = server.select(Selector(serial=guest.serial))
        yield Running(device, guest.instance.arch, place, guest.instance.pid)
