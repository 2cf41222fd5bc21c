"""Many devices at once: probed together, each kernel transferred once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

from droidheaders.cache import Cache
from droidheaders.errors import DroidheadersError
from droidheaders.kernel.probe import Probe
from droidheaders.pulling import Pulled, look, pull

if TYPE_CHECKING:
    from droidheaders.adb import Device

Outcome = Pulled | DroidheadersError


def pull_all(devices: list[Device], cache: Cache, *, refresh: bool = False) -> list[Outcome]:
    """Pull from every device at once; return what came of each, in their order.

    Devices with the same kernel are served one after another, so that the first to succeed
    transfers it and the others find it in the cache.
    """
    cancel = threading.Event()
    done: dict[str, Outcome] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(devices))) as pool:
        try:
            groups: dict[object, list[tuple[Device, Probe]]] = {}
            for device, probed in zip(devices, pool.map(_probed, devices), strict=True):
                if isinstance(probed, DroidheadersError):
                    done[device.serial] = probed
                    continue
                # Without a build-id two kernels cannot be told to be one.
                key = probed.kernel if probed.kernel.build_id else device.serial
                groups.setdefault(key, []).append((device, probed))
            jobs = [pool.submit(_pull_group, g, cache, refresh, cancel) for g in groups.values()]
            for job in as_completed(jobs):
                done |= job.result()
        except BaseException:
            cancel.set()  # or the pool would wait for transfers that nobody wants any more
            raise
    return [done[device.serial] for device in devices]


def _probed(device: Device) -> Probe | DroidheadersError:
    try:
        return look(device)
    except DroidheadersError as e:
        return e


def _pull_group(
    group: list[tuple[Device, Probe]], cache: Cache, refresh: bool, cancel: threading.Event
) -> dict[str, Outcome]:
    done: dict[str, Outcome] = {}
    for device, probed in group:
        again = refresh and not any(isinstance(outcome, Pulled) for outcome in done.values())
        try:
            done[device.serial] = pull(device, cache, refresh=again, probed=probed, cancel=cancel)
        except DroidheadersError as e:
            done[device.serial] = e
    return done
