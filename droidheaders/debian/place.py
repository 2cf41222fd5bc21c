"""Where packages and what is made of them are kept, and who may write there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from droidheaders.ui import ui


def cache_dir() -> Path:
    """Return where packages and built images are kept (DROIDHEADERS_GUEST_CACHE overrides)."""
    if override := os.environ.get("DROIDHEADERS_GUEST_CACHE"):
        return Path(override).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("droidheaders") / "guest"


@contextmanager
def locked() -> Iterator[None]:
    """Let one setup at a time into the cache: apt's directories and the results in it."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            ui.say("waiting for another setup to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
