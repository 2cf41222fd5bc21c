"""A pull: the bundle of a device's running kernel, from the cache or from the device."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droidheaders.cache import Bundle, Cache
from droidheaders.kernel.probe import Probe, probe
from droidheaders.run.recovery import recover

if TYPE_CHECKING:
    from droidheaders.adb import Device


@dataclass(frozen=True)
class Pulled:
    """What a pull gave: the bundle, whether it was in the cache before, and the seconds it took."""

    bundle: Bundle
    cached: bool
    seconds: float


def pull(
    device: Device,
    cache: Cache,
    *,
    refresh: bool = False,
    probed: Probe | None = None,
    cancel: threading.Event | None = None,
) -> Pulled:
    """Return the bundle of the kernel that `device` runs, transferring it if it is not cached.

    What an earlier run left on the device is finished first. A cached kernel costs one shell round
    trip. `refresh` transfers it anyway. Raises UnsupportedError for a kernel without headers,
    HeadersError when they cannot be had or are not whole, DeviceLostError when the device goes
    away; nothing is left behind in any of these cases.
    """
    started = time.monotonic()
    probed = probed or look(device)
    bundle = None if refresh else cache.lookup(probed.kernel)
    cached = bundle is not None
    if bundle is None:
        from droidheaders.transfer import transfer  # lzma and the like, for which a hit has no use

        with cache.transferring(probed.kernel, cancel):
            bundle = None if refresh else cache.lookup(probed.kernel)  # it may have come meanwhile
            cached = bundle is not None
            if bundle is None:
                bundle = transfer(device, cache, probed, replace=refresh, cancel=cancel)
    return Pulled(bundle, cached=cached, seconds=time.monotonic() - started)


def look(device: Device) -> Probe:
    """Finish what an earlier run left on the device, and ask about its kernel; as `probe`."""
    recover(device)
    return probe(device)
