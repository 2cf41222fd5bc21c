"""Where a guest's files are: what ships with droidheaders, what is cached, what is running."""

from __future__ import annotations

import os
from pathlib import Path


def emulator_dir() -> Path:
    """Return the directory of recipes and userland: droidheaders/_emulator, or <repo>/emulator.

    Raises FileNotFoundError when neither is there, which is a broken installation.
    """
    package = Path(__file__).resolve().parent.parent
    for place in (package / "_emulator", package.parent / "emulator"):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"no emulator directory beside {package}")


def cache_dir() -> Path:
    """Return where packages and built images are kept (DROIDHEADERS_GUEST_CACHE overrides)."""
    if override := os.environ.get("DROIDHEADERS_GUEST_CACHE"):
        return Path(override).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("droidheaders") / "guest"


def state_dir() -> Path:
    """Return where instances are recorded (DROIDHEADERS_STATE overrides).

    Its content means nothing after a reboot: that is the runtime directory, or the state directory
    on a host without a session. What is in it names the boot it belongs to.
    """
    if override := os.environ.get("DROIDHEADERS_STATE"):
        return Path(override).absolute() / "guest"
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "droidheaders" / "guest"
    from platformdirs import user_state_path

    return user_state_path("droidheaders") / "guest"
