"""Where it is written which guests are running."""

from __future__ import annotations

from pathlib import Path

from droidheaders import state


def state_dir() -> Path:
    """Return where instances are recorded; what is in it names the boot it belongs to."""
    return state.state_dir("guest", lasting=False)
