"""linux-headers-$(uname -r) for whatever Android kernel is running behind adb.

    from droidheaders import Cache, Server, pull

    device = Server(resolve_endpoint()).select(Selector())
    headers = pull(device, Cache.default()).bundle.headers

does what `droidheaders pull` does. Everything else the commands call is public in its package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from droidheaders.adb import Device as Device
    from droidheaders.adb import Selector as Selector
    from droidheaders.adb import Server as Server
    from droidheaders.adb import resolve_endpoint as resolve_endpoint
    from droidheaders.cache import Bundle as Bundle
    from droidheaders.cache import Cache as Cache
    from droidheaders.checking import Question as Question
    from droidheaders.checking import check as check
    from droidheaders.importing import import_file as import_file
    from droidheaders.kernel.probe import probe as probe
    from droidheaders.pulling import pull as pull

_HOME = {
    "Device": "adb",
    "Selector": "adb",
    "Server": "adb",
    "resolve_endpoint": "adb",
    "Bundle": "cache",
    "Cache": "cache",
    "Question": "checking",
    "check": "checking",
    "import_file": "importing",
    "probe": "kernel",
    "pull": "pulling",
}
__all__ = [
    "Bundle",
    "Cache",
    "Device",
    "Question",
    "Selector",
    "Server",
    "check",
    "import_file",
    "probe",
    "pull",
    "resolve_endpoint",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # late: `droidheaders --help` needs none of them

    return getattr(import_module(f"droidheaders.{_HOME[name]}"), name)
