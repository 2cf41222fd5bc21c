"""Programs of this host that read and write BTF."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property

from droidheaders.errors import DroidheadersError
from droidheaders.ui import printable

# Debian has bpftool where only root looks by default.
_BESIDES = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_PACKAGES = {"bpftool": "bpftool", "pahole": "dwarves"}
_SECONDS = 10


@dataclass(frozen=True)
class Tool:
    """A program that is there."""

    name: str
    path: str

    @property
    def install(self) -> str:
        """Return the command that installs it."""
        return f"sudo apt-get install {_PACKAGES[self.name]}"

    @property
    def identity(self) -> str:
        """Return what changes with the program, without starting it, which takes 20 ms."""
        info = os.stat(self.path)
        return f"{os.path.realpath(self.path)} {info.st_size} {info.st_mtime_ns}"

    @cached_property
    def version(self) -> tuple[int, ...]:
        """Return its version, such as (1, 24); DroidheadersError when it tells none."""
        command = [self.path, "version" if self.name == "bpftool" else "--version"]
        try:
            said = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_SECONDS,
            ).stdout.decode("utf-8", "replace")
        except (OSError, subprocess.TimeoutExpired):
            said = ""
        number = re.search(r"\bv(\d{1,4}(?:\.\d{1,4}){0,3})", said, re.ASCII)
        if number is None:
            # Ubuntu's /usr/sbin/bpftool is a script that wants one for the running kernel.
            message = f"{self.name} at {printable(self.path)} does not tell its version"
            raise DroidheadersError(message, self.install)
        return tuple(map(int, number[1].split(".")))

    def __str__(self) -> str:
        return f"{self.name} {dotted(self.version)}"


def find(name: str) -> Tool:
    """Return bpftool or pahole; DroidheadersError, with what to install, when it is not there."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_BESIDES])
    tool = Tool(name, shutil.which(name, path=path) or "")
    if not tool.path:
        raise DroidheadersError(f"{name} is not on this host", tool.install)
    return tool


def dotted(version: tuple[int, ...]) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))
