"""Programs of this host that read and write BTF."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from droidheaders.errors import DroidheadersError

# Debian has bpftool where only root looks by default.
_BESIDES = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_PACKAGES = {"bpftool": "bpftool", "pahole": "dwarves"}
_SECONDS = 10


@dataclass(frozen=True)
class Tool:
    """A program: where it is, and its version, such as (1, 24)."""

    name: str
    path: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))}"


def find(name: str, least: tuple[int, ...] = (0,)) -> Tool:
    """Return bpftool or pahole, of version `least` or newer.

    Raises DroidheadersError, with the package to install, when there is none that answers.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_BESIDES])
    found = shutil.which(name, path=path)
    version = _version(found) if found else ()
    tool = Tool(name, found or "", version)
    install = f"sudo apt-get install {_PACKAGES[name]}"
    if not version:
        # Ubuntu's /usr/sbin/bpftool is a script that looks for one of the running kernel.
        why = "is not on this host" if not found else f"at {found} does not tell its version"
        raise DroidheadersError(f"{name} {why}", install)
    if version < least:
        needed = ".".join(map(str, least))
        raise DroidheadersError(f"{tool} is too old: {needed} is needed", install)
    return tool


def _version(path: str) -> tuple[int, ...]:
    command = [path, "version" if path.endswith("bpftool") else "--version"]
    try:
        said = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_SECONDS
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired):
        return ()
    number = re.search(r"\bv(\d{1,4}(?:\.\d{1,4}){0,3})", said)
    return tuple(map(int, number[1].split("."))) if number else ()
