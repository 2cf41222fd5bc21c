"""Run the command line, and have something go wrong at a named point of it.

    python -m tests.faults.crashing POINT FAULT COUNT ARGUMENTS...

The points are audit events of the interpreter (PEP 578), so nothing in the product knows of them.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from typing import Any

from droidheaders.__main__ import main

# What the interpreter is about to do: the event, and a pattern for its first or second argument.
POINTS = {
    "cache made": ("os.mkdir", r"/kernels$"),
    "lock taken": ("open", r"/locks/"),
    "staging made": ("os.mkdir", r"/\.staging-[0-9a-f]+$"),
    "archive opened": ("open", r"/archive\.tar\.xz$"),
    "header written": ("open", r"/headers/.*\.h$"),
    "directory made": ("os.mkdir", r"/headers/."),
    "link made": ("os.symlink", r"/headers/.*\.h$"),
    "config written": ("open", r"/\.staging-[^/]*/config$"),
    "btf written": ("open", r"/\.staging-[^/]*/btf$"),
    "bundle.json written": ("open", r"/\.staging-[^/]*/bundle\.json$"),
    "manifest written": ("open", r"/\.staging-[^/]*/manifest$"),
    "opened to all": ("os.chmod", r"/\.staging-[^/]*$"),
    "synced": ("ctypes.dlsym", r"^syncfs$"),
    "published": ("os.rename", r"/kernels/[^./][^/]*$"),
    "parent synced": ("open", r"/kernels$"),
    "indexed": ("open", r"/index/\."),
    "index published": ("os.rename", r"/index/[^./]+$"),
}
# Where a device is changed, or is about to be changed back.
CHANGING = {
    "change to be written": ("os.rename", r"/journal/[^/]*\.json$"),
    "change written": ("open", r"/journal$"),
    "change to be struck out": ("os.remove", r"/journal/[^/]*\.json$"),
}
FAULTS = ("SIGKILL", "SIGINT", "SIGTERM", "ENOSPC", "EIO")


def arm(point: str, fault: str, count: int) -> None:
    """Have `fault` happen when `point` is reached for the `count`th time."""
    event, pattern = (POINTS | CHANGING)[point]
    matches = re.compile(pattern).search
    left = [count]

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if name != event or left[0] <= 0:
            return
        if not any(isinstance(a, str | os.PathLike) and matches(os.fspath(a)) for a in arguments):
            return
        left[0] -= 1
        if left[0] == 0:
            happen(fault)

    sys.addaudithook(hook)


def happen(fault: str) -> None:
    """Let the fault happen: raise what the system call would, or send this process the signal."""
    if fault.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, fault))
        return
    number = getattr(errno, fault)
    raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    arm(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    sys.argv = ["droidheaders", *sys.argv[4:]]
    main()
