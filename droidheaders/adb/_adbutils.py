"""The only import of adbutils, made cheap and safe from the environment."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def _requests_on_demand() -> Iterator[None]:
    """Let adbutils `import requests`, a third of its import time, without loading it.

    adbutils needs requests only to install APKs from a URL. The stand-in loads the real package on
    first use, and is taken out again so that nobody else in the process meets it.
    """
    if "requests" in sys.modules:
        yield
        return
    stub = ModuleType("requests")

    def remove() -> None:
        if sys.modules.get("requests") is stub:
            del sys.modules["requests"]

    def load(name: str) -> Any:
        remove()
        return getattr(importlib.import_module("requests"), name)

    stub.__dict__["__getattr__"] = load  # PEP 562
    sys.modules["requests"] = stub
    try:
        yield
    finally:
        remove()


@contextmanager
def _numeric_port() -> Iterator[None]:
    """Hide an ANDROID_ADB_SERVER_PORT that is no number: `import adbutils` would raise on it.

    "²" is a digit and yet no number.
    """
    name = "ANDROID_ADB_SERVER_PORT"
    value = os.environ.get(name)
    if value is None or value.isdecimal():
        yield
        return
    del os.environ[name]
    try:
        yield
    finally:
        os.environ[name] = value


with _requests_on_demand(), _numeric_port():
    from adbutils import AdbConnection, AdbError, Sync, adb_path
    from adbutils.errors import AdbTimeout

__all__ = ["AdbConnection", "AdbError", "AdbTimeout", "Sync", "adb_path"]
