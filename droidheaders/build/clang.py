"""The clang that builds BPF programs, and what is wrong with it when it does not."""

from __future__ import annotations

import re
import shutil
import subprocess

from droidheaders.errors import DroidheadersError
from droidheaders.headers.clang import NAMES
from droidheaders.ui import printable

OLDEST = 13
"""The oldest major version that this was tried with."""

_INSTALL = "sudo apt-get install clang"
_NO_BPF = re.compile(r"unknown target triple 'bpf|[Nn]o available targets are compatible with")


def find() -> str:
    """Return the newest clang on PATH; DroidheadersError when there is none.

    By name alone: to ask each for its version would take longer than a small program does.
    """
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise DroidheadersError("no clang is on PATH, and BPF is compiled with it", _INSTALL)
    return found


def unfit(clang: str, said: str) -> DroidheadersError | None:
    """Return why `clang`, which failed with `said` on stderr, cannot build BPF at all, or None."""
    name = printable(clang)
    if _NO_BPF.search(said):
        hint = f"{_INSTALL}: `{name} --print-targets` must name bpf"
        return DroidheadersError(f"{name} was built without a back end for BPF", hint)
    try:
        done = subprocess.run(
            [clang, "--version"], capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
    except OSError as e:
        return DroidheadersError(f"{name} cannot be run: {e.strerror}", _INSTALL)
    version = re.search(rb"clang version (\d{1,5})", done.stdout)
    if version is None:
        return DroidheadersError(f"{name} is no clang: it does not tell its version", _INSTALL)
    if int(version[1]) < OLDEST:
        why = f"{name} is version {int(version[1])}, and {OLDEST} is the oldest that is known to do"
        return DroidheadersError(why, f"{_INSTALL}-14")
    return None
