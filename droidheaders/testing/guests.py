"""The guests of a test session: watched while tests run, and replaced when one has crashed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from droidheaders.adb import Selector
from droidheaders.errors import DeviceLostError, DroidheadersError, NoDeviceError
from droidheaders.guest import console, recipes
from droidheaders.guest.guest import DEFAULT_PERSONA, Guest
from droidheaders.run.splat import Splat
from droidheaders.testing import ending

if TYPE_CHECKING:
    from droidheaders.adb import Device, Server

_PATIENCE = 2.0  # seconds for last words to get to the console, or an adbd to be back
_POLL = 0.05
_SHOWN = 40  # lines of a console


@dataclass
class _Tended:
    """A guest, None once it was ended, and the device that tests know it by."""

    guest: Guest | None
    device: Device
    recipe: str
    persona: str
    told: bool = False

    def last_words(self, patience: float) -> str:
        """Return the line in which its kernel gave up, once, or "" where it did not."""
        if self.told:
            return ""
        deadline = time.monotonic() + patience
        while not (words := console.last_words(self.console())) and time.monotonic() < deadline:
            time.sleep(_POLL)
        self.told = bool(words)
        return words

    def is_usable(self) -> bool:
        """Tell whether it can be used; adb tells of one whose QEMU is only just ending."""
        if self.told or not (self.guest and self.guest.instance.alive):
            return False
        try:
            self.device.wait_for("device", timeout=_PATIENCE)
        except DroidheadersError:
            return False
        return True

    def console(self) -> str:
        return console.read(self.guest.instance.console) if self.guest else ""

    def end(self) -> None:
        guest, self.guest = self.guest, None
        if guest:
            guest.stop()


class Guests:
    """Gives guests to tests, and knows what has become of them. Not for threads."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._tended: list[_Tended] = []

    @contextmanager
    def fresh(
        self, name: str = recipes.DEFAULT, *, persona: str = DEFAULT_PERSONA
    ) -> Iterator[Device]:
        """Give the device of a guest that nobody has used, which ends with the block.

        When its kernel panics, the test that runs then fails. Raises what `Guest.fresh` raises.
        """
        tended = self._started(name, persona)
        self._tended.append(tended)
        try:
            yield tended.device
        finally:
            self._tended.remove(tended)
            tended.end()

    def renew(self, device: Device) -> None:
        """Have a guest behind `device` again, where the one that was there has ended."""
        for tended in self._tended:
            if tended.device is device and not tended.is_usable():
                tended.end()
                new = self._started(tended.recipe, tended.persona)
                tended.guest, tended.told = new.guest, False
                device.attached = new.device.attached

    def check(
        self, item: pytest.Item, error: BaseException | None, allows: Callable[[Splat], bool]
    ) -> None:
        """Fail the test if a kernel has panicked meanwhile; `error` is what it ended with."""
        is_lost = isinstance(error, (DeviceLostError, NoDeviceError))
        for tended in self._tended:
            words = tended.last_words(_PATIENCE if is_lost else 0.0)
            if words and words not in str(error) and not allows(Splat("panic", words)):
                last = "\n".join(console.last_lines(tended.console(), _SHOWN))
                item.add_report_section("call", f"console of {tended.device.serial}", last)
                sentence = f"{tended.device.name} panicked: {words}"
                raise ending.instead(error, sentence) from (None if is_lost else error)

    def _started(self, name: str, persona: str) -> _Tended:
        guest = Guest.fresh(name, persona=persona, server=self.server)
        try:
            device = self.server.select(Selector(serial=guest.serial))
        except BaseException:
            guest.stop()
            raise
        return _Tended(guest, device, name, persona)
