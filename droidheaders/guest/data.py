"""Where a guest's files are: what is cached, what is running."""

from __future__ import annotations

import os
from pathlib import Path

from droidheaders import state


def cache_dir() -> Path:
    """Return where packages and built images are kept (DROIDHEADERS_GUEST_CACHE overrides)."""
    if override := os.environ.get("DROIDHEADERS_GUEST_CACHE"):
        return Path(override).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("droidheaders") / "guest"


def state_dir() -> Path:
    """Return where instances are recorded; what is in it names the boot it belongs to."""
    return state.state_dir("guest", lasting=False)
