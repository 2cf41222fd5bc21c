"""Whether the guests that are to run at once fit into this host's memory."""

from __future__ import annotations

import re
from pathlib import Path

from droidheaders.errors import UsageError
from droidheaders.guest import recipes
from droidheaders.loop.plan import Plan, Target

_QEMU = 100  # MB of a guest that its own memory is not; 40 to 70 were seen, of what it translated


def check(plan: Plan, jobs: int) -> None:
    """Raise UsageError when `jobs` guests of the plan, each with all its memory, do not fit."""
    sizes = [_size(target) for target in plan.targets if not target.serials]
    room = available()
    if not sizes or jobs == 1 or jobs * max(sizes) <= room:
        return
    fit = max(1, room // max(sizes))
    raise UsageError(
        f"{jobs} guests of {max(sizes)} MB need {jobs * max(sizes)} MB of memory, and this host has"
        f" {room} MB free",
        f"--jobs {fit}",
    )


def available() -> int:
    """Return how much memory new processes can have, in MB (MemAvailable, proc(5))."""
    found = re.search(r"^MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    return int(found[1]) >> 10 if found else 0


def _size(target: Target) -> int:
    return (target.memory or recipes.load(target.recipe).memory) + _QEMU
