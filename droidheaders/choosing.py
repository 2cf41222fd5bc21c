"""Which bundle is meant by a command that builds: the one named, the device's, the last one used.

Above the rooms rather than in one: it asks the device, and looks into the cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from droidheaders.cache import Bundle, Cache
from droidheaders.errors import HeadersError, NoDeviceError
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device, Selector, Server
    from droidheaders.kernel.identity import KernelIdentity


def choose(cache: Cache, name: str | None, find: Callable[[], Device | None]) -> Bundle:
    """Return the bundle that is meant, and note that it was used.

    `name` names one as for `Cache.find`. Without it `find` returns the device that is meant, or
    None when there is none at all; it costs that device one round trip. Raises HeadersError when
    the kernel of the device is not in the cache, or there is nothing in it, and what `Cache.find`,
    `find` and `probe` raise.
    """
    bundle = cache.find(name) if name is not None else _of_device(cache, find()) or _last(cache)
    with suppress(OSError):  # a cache that may only be read still serves
        os.utime(bundle.path)
    return bundle


def attached(server: Server, selector: Selector) -> Device | None:
    """Return the device that `selector` means; None where it names none and none is attached.

    No server is started for this. Raises NoDeviceError for one that is named and not there, for
    several, and for one that is not usable yet.
    """
    if selector == type(selector)():
        return None if server.is_without_devices() else server.select(selector)
    if not server.listens():
        raise NoDeviceError(
            f"no adb server listens at {server.endpoint}, so {selector} cannot be asked",
            "adb start-server, or take a bundle of the cache: --bundle NAME",
        )
    return server.select(selector)


def _of_device(cache: Cache, device: Device | None) -> Bundle | None:
    if device is None:
        return None
    from droidheaders.kernel.probe import probe

    return of_kernel(cache, device, probe(device).kernel)


def of_kernel(cache: Cache, device: Device, kernel: KernelIdentity) -> Bundle:
    """Return the bundle of the kernel that `device` runs; HeadersError when the cache has none."""
    bundle = cache.lookup(kernel)
    if bundle is None:
        raise HeadersError(
            f"{device.name} runs {kernel}, whose headers are not in the cache at {cache.root}",
            f"droidheaders pull -s {printable(device.serial)}, or name another: --bundle NAME",
        )
    return bundle


def _last(cache: Cache) -> Bundle:
    """Return the bundle that was used last, and say that it was taken."""
    used = []
    for path in cache.directories():
        with suppress(OSError):  # pruned this very moment
            used.append((path.stat().st_mtime, path))
    for _, path in sorted(used, reverse=True):
        if bundle := Bundle.load(path):
            ui.say(f"no device: taking {printable(bundle.name)}, which was used last")
            return bundle
    raise HeadersError(
        f"no device is attached, and the cache at {cache.root} is empty",
        "connect a device and type droidheaders pull, or droidheaders cache import FILE",
    )
