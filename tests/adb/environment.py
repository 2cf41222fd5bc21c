"""What the real adb server is run with in tests."""

from __future__ import annotations

from pathlib import Path

import pytest


def alone(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Have a server started from here keep to itself: a home of its own, and no looking around."""
    for name, value in {
        "HOME": str(home),
        "ANDROID_USER_HOME": str(home),
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "1",  # no looking for emulators
        "ADB_MDNS": "0",
        "ADB_USB": "0",
    }.items():
        monkeypatch.setenv(name, value)
