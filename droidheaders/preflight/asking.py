"""What judges ask of a target, where None means that nothing tells."""

from __future__ import annotations

import re

from droidheaders.preflight.target import Target


def on(target: Target, option: str) -> bool | None:
    """Tell whether an option of the configuration is y; what a configuration lacks is not."""
    if target.config is None:
        return None
    return target.config.get(option) == "y"


def modversions(target: Target) -> bool | None:
    """Tell whether the kernel compares CRCs, which its vermagic says too."""
    if target.vermagic:
        return "modversions" in target.vermagic.split()[1:]
    return on(target, "MODVERSIONS")


def before(target: Target, major: int, minor: int) -> bool:
    """Tell whether the kernel is older than that; one whose release says nothing is not."""
    number = target.kernel.number
    return number is not None and number < (major, minor)


def lsm_runs_bpf(target: Target) -> bool | None:
    """Tell whether bpf is among the security modules that run, which call hooks of programs.

    Which run is in securityfs, on the command line, or as built: security/security.c.
    """
    chosen = re.search(r"\blsm=(\S+)", target.switches.get("cmdline", ""))
    running = target.switches.get("lsm") or (chosen[1] if chosen else "")
    if not running:
        if target.config is None:
            return None
        running = target.config.get("LSM", "")
    return "bpf" in running.split(",")
