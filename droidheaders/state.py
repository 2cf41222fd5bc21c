"""Where this host notes what it is in the middle of: one place, one rule on who may write there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from droidheaders.errors import DroidheadersError


def state_dir(part: str, *, lasting: bool) -> Path:
    """Return the directory of `part` (DROIDHEADERS_STATE overrides where they all are).

    What is not `lasting` means nothing after a reboot of this host, and is in the runtime directory
    where the session has one.
    """
    if override := os.environ.get("DROIDHEADERS_STATE"):
        return Path(override).absolute() / part
    if not lasting and (runtime := os.environ.get("XDG_RUNTIME_DIR")):
        return Path(runtime) / "droidheaders" / part
    from platformdirs import user_state_path

    return user_state_path("droidheaders") / part


def own_directory(place: Path, what: str) -> None:
    """Make the directory if it is not there; DroidheadersError if others may write to it.

    `what` says what is recorded there. Raises OSError when it cannot be made.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = place.stat()
    if info.st_uid != os.getuid() or stat.S_IMODE(info.st_mode) & 0o022:
        raise DroidheadersError(
            f"others can write to {place}, where {what} recorded",
            hint=f"chmod 700 {place}, or set DROIDHEADERS_STATE",
        )
