"""The fixture `kernel_log`: what the kernel of a test's device has said since the test began."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from droidheaders.errors import DeviceLostError, DroidheadersError, NoDeviceError
from droidheaders.run.splat import KINDS, Splat, splats
from droidheaders.testing import ending
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device

_LONGEST = 1024  # characters of a line


@dataclass(frozen=True)
class _Allowed:
    kind: str | None
    title: re.Pattern[str]

    def fits(self, splat: Splat) -> bool:
        return self.kind in (None, splat.kind) and bool(self.title.search(splat.title))


class KernelLog:
    """The kernel's log, and which of its complaints a test does not mind.

    Raises DroidheadersError where nobody may read the log of `device`.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._allowed: list[_Allowed] = []
        self._told = 0  # of the complaints, those that were looked at
        self._as_root = False
        self._before = (self._read() or [""])[-1]

    @property
    def lines(self) -> list[str]:
        """The lines since the test began, safe for a terminal, each with its time since boot.

        Those that the kernel still has: it overwrites the oldest. Raises DeviceLostError, also when
        the kernel has crashed.
        """
        return [printable(line, _LONGEST) for line in self._since()]

    def allow(self, *, kind: str | None = None, title: str = "") -> None:
        """Let the test pass although the kernel complains: of a `kind`, or in such words.

        `kind` is one of droidheaders.run.splat.KINDS, such as warning or panic; `title` is a
        pattern for the line that begins the complaint. Where both are given, both must fit.
        """
        kinds = [name for name, _ in KINDS]
        if kind not in (None, *kinds) or not (kind or title):
            raise ValueError(f"give a title, or a kind ({', '.join(kinds)}), and not {kind!r}")
        self._allowed.append(_Allowed(kind, re.compile(title)))

    def allows(self, splat: Splat) -> bool:
        """Tell whether the test does not mind this."""
        return any(allowed.fits(splat) for allowed in self._allowed)

    def check(self) -> None:
        """Fail the test for complaints since it began, unless they are allowed, once each.

        A device that is gone cannot be asked: that its kernel crashed is told elsewhere.
        """
        try:
            found = splats(self._since())
        except (DeviceLostError, NoDeviceError):
            return
        new, self._told = found[self._told :], len(found)
        for splat in new:
            if not self.allows(splat):
                raise pytest.fail.Exception(
                    ending.text(
                        f"the kernel of {self.device.name} complained: {splat.title}",
                        f"where that is meant: kernel_log.allow(kind={splat.kind!r})",
                        splat.frames,
                    ),
                    pytrace=False,
                )

    def _since(self) -> list[str]:
        lines = self._read()
        for at in range(len(lines) - 1, -1, -1):
            if lines[at] == self._before:
                return lines[at + 1 :]
        return lines

    def _read(self) -> list[str]:
        if not self._as_root:
            result = self.device.shell("dmesg")
            self._as_root = bool(result.status)  # as with dmesg_restrict, or SELinux
        if self._as_root:
            with self.device.privileged() as root:
                result = root.shell("dmesg")
        if result.status:
            said = printable(result.stderr.decode("utf-8", "replace").strip())
            raise DroidheadersError(
                f"{self.device.name} does not give its kernel's log: {said}",
                f"{self.device.adb} shell dmesg",
            )
        return result.stdout.decode("utf-8", "replace").splitlines()
