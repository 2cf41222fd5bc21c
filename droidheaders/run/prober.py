"""Ask a kernel which BPF programs it really loads and attaches: emulator/bpf/prober.c, run there.

What is asked for is the smallest program of each type, taken back at once.
"""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from droidheaders.adb.shell import last_line
from droidheaders.errors import DroidheadersError, UnsupportedError
from droidheaders.run.greeting import ARCH
from droidheaders.run.scratch import scratch
from droidheaders.run.tools import FLAGS, Tool
from droidheaders.shipped import emulator_dir
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.adb.root import Root

TYPES = (
    *("kprobe", "kretprobe", "uprobe", "tracepoint", "raw_tp", "perf_event", "cgroup"),
    *("socket_filter", "tc", "xdp", "fentry", "lsm", "iter", "struct_ops"),
)
"""What is asked about, in the order of the answers."""

_FLAGS = ("-ffreestanding", "-nostdlib", "-fno-pie", "-fno-strict-aliasing")

_TIMEOUT = 40.0  # the program ends itself after 20 seconds, and takes two when emulated
_LONGEST = 64 << 10
_MAX_ERRNO = 4095  # include/linux/err.h
# What Python lacks (include/linux/errno.h, for the kernel alone), and what it gives another name.
_NAMES = {**errno.errorcode, 524: "ENOTSUPP", errno.EOPNOTSUPP: "EOPNOTSUPP"}


@dataclass(frozen=True)
class Outcome:
    """What a kernel said to one type of program.

    `load` and `attach` are 0 or an errno; `attach` is None where none was tried. `log` is the end
    of the verifier's log, or what the prober found out itself, fit for a terminal.
    """

    load: int
    attach: int | None
    log: str = ""

    @property
    def works(self) -> bool:
        """Whether it was loaded, and attached where that was tried."""
        return not self.load and not self.attach

    @property
    def denied(self) -> bool:
        """Whether rights are what is missing: nothing was learnt about the kernel then.

        capable() refuses with EPERM, SELinux and file modes with EACCES.
        """
        return (self.load or self.attach) in (errno.EPERM, errno.EACCES)

    @property
    def error(self) -> str:
        """The name of the errno that stopped it, or ""."""
        number = self.load or self.attach or 0
        return _NAMES.get(number, f"errno {number}") if number else ""


def ask(device: Device, user: Device | Root) -> dict[str, Outcome]:
    """Return what the kernel of `device` says to each of TYPES when `user` asks.

    `user` is the device, for its shell, or root on it. A type that no answer came for is left out.
    Takes a second or two on a guest, and leaves nothing there. Raises DroidheadersError when the
    prober cannot be built or run, UnsupportedError for an architecture that it is not written for.
    """
    machine = device.shell("uname -m").stdout.decode("utf-8", "replace").strip()
    if machine not in ARCH:
        raise UnsupportedError(
            f"{device.name} is {printable(machine)}, and BPF is probed on {' and '.join(ARCH)} only"
        )
    program = build(ARCH[machine])
    with scratch(device) as place:
        device.push(program, f"{place}/prober", mode=0o755)
        result = user.shell(f"exec {place}/prober", timeout=_TIMEOUT)
    outcomes = parse(result.stdout)
    if not outcomes:
        raise DroidheadersError(
            f"{device.name} did not run the BPF prober: {last_line(result.stderr)}"
            f" (status {result.status})",
            f"{device.adb} shell ls -ldZ /data/local/tmp",
        )
    return outcomes


def parse(output: bytes) -> dict[str, Outcome]:
    """Return what the prober wrote by type; lines that are not its own are passed over."""
    found = {}
    for line in output[:_LONGEST].splitlines():
        try:
            facts = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(facts, dict):
            continue
        name, load, attach, log = (facts.get(key) for key in ("type", "load", "attach", "log"))
        if name not in TYPES or not isinstance(log, str):
            continue
        if _is_errno(load) and (attach is None or _is_errno(attach)):
            found[name] = Outcome(load, attach, printable(log, limit=400))
    return found


def _is_errno(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MAX_ERRNO


def build(arch: str) -> Path:
    """Return the prober for `arch` (arm64, x86_64), built on first use and kept in the cache.

    Raises DroidheadersError when this host has no compiler for it, or the compiler fails.
    """
    source = emulator_dir() / "bpf/prober.c"
    return Tool("prober", "the BPF prober", [source], [*FLAGS, *_FLAGS]).build(arch)
