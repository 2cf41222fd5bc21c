"""Where a test runs: a guest that nobody has used, or a device that nobody else is using."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders.adb import Selector, Server
from droidheaders.adb.severing import SeverableServer
from droidheaders.cache.lock import held
from droidheaders.errors import DroidheadersError
from droidheaders.guest import console, image, process, recipes
from droidheaders.guest.guest import Guest, MakeImage
from droidheaders.loop.plan import Target
from droidheaders.state import state_dir
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device

_LAST_WORDS = 2.0  # seconds


@dataclass(frozen=True)
class Site:
    """A device, and the guest that it is, if it is one, with the image that it has booted.

    `server` is that of a device which is not ours to end.
    """

    device: Device
    guest: Guest | None = None
    kernel: Path | None = None
    server: SeverableServer | None = None

    def console(self) -> str:
        """Return what the guest has written to its console; nothing of another device."""
        return console.read(self.guest.instance.console) if self.guest else ""

    @property
    def gone(self) -> bool:
        """Whether the guest has ended; False of another device, of which nobody can tell."""
        return self.guest is not None and not self.guest.instance.alive

    def await_end(self) -> None:
        """Wait until a guest that lost its connection has ended, or for two seconds.

        One that panics loses it first, and then prints why.
        """
        if self.guest:
            process.wait_gone(self.guest.instance.pid, self.guest.instance.started, _LAST_WORDS)

    def end(self) -> None:
        """End the guest at once, which frees whoever waits for it; break off with a device.

        Who runs something on a device still leaves it as he found it.
        """
        if self.server:
            self.server.sever()
        if self.guest:
            with suppress(DroidheadersError):  # before: the server would try to get it back
                self.device.server.disconnect(self.guest.serial)
            process.kill(self.guest.instance.pid, self.guest.instance.started)


@dataclass
class Sites:
    """Gives sites out, to several threads at once. `end` ends what is in use."""

    server: Server
    _used: set[str] = field(default_factory=set)
    _sites: list[Site] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def of(self, target: Target, persona: str) -> Iterator[Site]:
        """Give a site of the target; raises what starting a guest or selecting a device does."""
        if target.serials:
            with self._device(target) as site, self._in_use(site):
                yield site
            return
        make = make_image(target)
        guest = Guest.fresh(
            target.recipe,
            persona=persona,
            server=self.server,
            memory=target.memory,
            cpus=target.cpus,
            make=make,
        )
        try:
            device = self.server.select(Selector(serial=guest.serial))
            kernel = target.kernel or image.setup(recipes.load(target.recipe)).kernel
            site = Site(device, guest, kernel)
            with self._in_use(site):
                yield site
        finally:
            guest.stop()

    def end(self) -> None:
        """End all guests that are in use now, and break off with the devices."""
        self._ended.set()
        with self._changed:
            sites = [*self._sites]
        for site in sites:
            site.end()

    @contextmanager
    def _in_use(self, site: Site) -> Iterator[None]:
        with self._changed:
            self._sites.append(site)
        try:
            yield
        finally:
            with self._changed:
                self._sites.remove(site)

    @contextmanager
    def _device(self, target: Target) -> Iterator[Site]:
        """Give the first of the target's devices that is free, once one is."""
        with self._changed:
            self._changed.wait_for(lambda: set(target.serials) - self._used)
            serial = next(one for one in target.serials if one not in self._used)
            self._used.add(serial)
        try:
            with held(_lock_of(serial), f"device {printable(serial)}", self._ended):
                server = SeverableServer(self.server.endpoint, self.server.timeout)
                yield Site(server.select(Selector(serial=serial)), server=server)
        finally:
            with self._changed:
                self._used.remove(serial)
                self._changed.notify_all()


def _lock_of(serial: str) -> Path:
    """Return the lock of a device, for all loops of this user."""
    name = hashlib.sha256(serial.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return state_dir("loop", lasting=True) / ".devices" / name


def make_image(target: Target) -> MakeImage | None:
    """Return how to make the image around the target's own kernel, if it has one."""
    if target.kernel is None:
        return None
    make: Callable[..., image.Image] = partial(image.custom, target.kernel)
    return partial(
        make, recipes.load(target.recipe), modules_dir=target.modules, extra=target.extra
    )
