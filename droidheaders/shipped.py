"""What ships with droidheaders besides Python: recipes, the guest's userland, BPF sources."""

from __future__ import annotations

from pathlib import Path


def emulator_dir() -> Path:
    """Return the directory of all that: droidheaders/_emulator, or <repo>/emulator.

    Raises FileNotFoundError when neither is there, which is a broken installation.
    """
    package = Path(__file__).resolve().parent
    for place in (package / "_emulator", package.parent / "emulator"):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"no emulator directory beside {package}")
