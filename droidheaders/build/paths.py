"""Paths that make takes for paths: Kbuild has them among words, in targets and in assignments."""

from __future__ import annotations

import re
from pathlib import Path

_SPLIT = re.compile(r"[\s:#$%]")


def is_split(path: Path) -> bool:
    """Tell whether make would take a path for something else, or for several words."""
    return _SPLIT.search(str(path)) is not None
