"""adb: which server and device is meant, and commands, files and root on it.

The only room that imports adbutils, and only when a socket is opened.
"""

from droidheaders.adb._errors import NoRootError
from droidheaders.adb.device import Device
from droidheaders.adb.devices import Attached, parse_devices
from droidheaders.adb.endpoint import Endpoint, resolve_endpoint
from droidheaders.adb.root import Root
from droidheaders.adb.selector import Selector
from droidheaders.adb.server import Server
from droidheaders.adb.shell import ShellResult, ShellStream

__all__ = [
    "Attached",
    "Device",
    "Endpoint",
    "NoRootError",
    "Root",
    "Selector",
    "Server",
    "ShellResult",
    "ShellStream",
    "parse_devices",
    "resolve_endpoint",
]
