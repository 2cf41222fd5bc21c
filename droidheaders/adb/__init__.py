"""adb: which server and device is meant, and commands, files and root on it.

The only room that imports adbutils, and only when a socket is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from droidheaders.adb.devices import Attached, parse_devices
from droidheaders.adb.endpoint import Endpoint, resolve_endpoint
from droidheaders.adb.selector import Selector
from droidheaders.adb.server import Server

if TYPE_CHECKING:
    from droidheaders.adb._errors import NoRootError
    from droidheaders.adb.device import Device
    from droidheaders.adb.root import Root
    from droidheaders.adb.session import Piece, Session
    from droidheaders.adb.shell import ShellResult, ShellStream

_HOME = {
    "Device": "device",
    "NoRootError": "_errors",
    "Piece": "session",
    "Root": "root",
    "Session": "session",
    "ShellResult": "shell",
    "ShellStream": "shell",
}
__all__ = [
    "Attached",
    "Device",
    "Endpoint",
    "NoRootError",
    "Piece",
    "Root",
    "Selector",
    "Server",
    "Session",
    "ShellResult",
    "ShellStream",
    "parse_devices",
    "resolve_endpoint",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # late: where no device is attached they have no use

    return getattr(import_module(f"droidheaders.adb.{_HOME[name]}"), name)
