"""What the judges of a module ask of a target, where None means that nothing tells."""

from __future__ import annotations

import re
from collections.abc import Collection

from droidheaders.preflight.target import Target
from droidheaders.ui import printable


def on(target: Target, option: str) -> bool | None:
    """Tell whether an option of the configuration is y; what a configuration lacks is not."""
    if target.config is None:
        return None
    return target.config.get(f"CONFIG_{option}") == "y"


def modversions(target: Target) -> bool | None:
    """Tell whether the kernel compares CRCs, which its vermagic says too."""
    if target.vermagic:
        return "modversions" in target.vermagic.split()[1:]
    return on(target, "MODVERSIONS")


def before(target: Target, major: int, minor: int) -> bool:
    """Tell whether the kernel is older than that; one whose release says nothing is not."""
    found = re.match(r"(\d{1,4})\.(\d{1,4})", target.kernel.release)
    return found is not None and (int(found[1]), int(found[2])) < (major, minor)


def named(names: Collection[str], most: int = 4) -> str:
    """Return names for a sentence, the first ones of many, safe for a terminal."""
    first = [printable(name, 64) for name in sorted(names)[:most]]
    more = len(names) - len(first)
    if more:
        return f"{', '.join(first)} and {more} more"
    return " and ".join([", ".join(first[:-1]), first[-1]]) if len(first) > 1 else "".join(first)
