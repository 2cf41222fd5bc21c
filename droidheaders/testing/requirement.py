"""What a test asks of the kernel: the marker `requires_kernel`, read and judged."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from droidheaders.cache import Cache
from droidheaders.errors import UsageError
from droidheaders.gathering import of_device
from droidheaders.preflight.config import Wanted, judge
from droidheaders.preflight.privilege import actor, who
from droidheaders.ui import printable

if TYPE_CHECKING:
    import pytest

    from droidheaders.adb import Device
    from droidheaders.preflight.facts import Facts

_CLAUSE = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*(\d{1,4}(?:\.\d{1,4}){0,2})\s*", re.ASCII)
_RELEASE = re.compile(r"\d{1,4}(?:\.\d{1,4}){0,2}", re.ASCII)
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


class Known:
    """What is known of the devices of a session: each is asked once while it is connected."""

    def __init__(self) -> None:
        self._facts: dict[tuple[str, int], Facts] = {}

    def of(self, device: Device) -> Facts:
        """Return what `check` knows of a device; raises what asking it does."""
        key = device.serial, device.transport_id
        if key not in self._facts:
            self._facts[key] = of_device(device, Cache.default)
        return self._facts[key]


@dataclass(frozen=True)
class Requirement:
    """A version such as ">=5.10, <6.12", options of the configuration, and whether root is needed.

    As many numbers of the release are compared as the version has: 5.10.200 is 5.10.
    """

    version: str = ""
    config: tuple[Wanted, ...] = ()
    root: bool = False

    @classmethod
    def of(cls, mark: pytest.Mark) -> Requirement:
        """Return what a marker asks; ValueError, a sentence, for arguments that ask nothing."""
        unknown = mark.kwargs.keys() - {"config", "root"}
        if unknown or len(mark.args) > 1 or not (mark.args or mark.kwargs):
            given = ", ".join(
                [*map(repr, mark.args), *(f"{k}={v!r}" for k, v in mark.kwargs.items())]
            )
            raise ValueError(f"it takes a version, config= and root=, and has ({given})")
        version = mark.args[0] if mark.args else ""
        if not isinstance(version, str) or (mark.args and not all(_clauses(version))):
            raise ValueError(f'{version!r} is no version such as ">=5.10" or ">=5.10, <6.12"')
        root, config = mark.kwargs.get("root", False), mark.kwargs.get("config", ())
        if not isinstance(root, bool):
            raise ValueError(f"root= is True or False, and not {root!r}")
        if not isinstance(config, (list, tuple)) or not all(isinstance(o, str) for o in config):
            raise ValueError(f'config= is a list such as ["CONFIG_BPF=y"], and not {config!r}')
        try:
            return cls(version, tuple(map(Wanted.parse, config)), root)
        except UsageError as e:
            raise ValueError(e.message) from e

    def unmet(self, device: Device, known: Known) -> str:
        """Return why the device's kernel does not do, as `check` says it, or "" when it does.

        Raises what asking the device does.
        """
        if self.version and (unmet := self._unmet_version(device)):
            return unmet
        if not (self.config or self.root):
            return ""
        facts = known.of(device)
        for answer in judge(facts, [*self.config]).details[: len(self.config)]:
            if answer.verdict != "yes":
                return f"{answer.name} is required: {answer.because}, of {facts.target.name}"
        user = actor(facts.inquiry) if facts.inquiry else None
        if self.root and user and user.uid != 0:
            return f"root is required, and {facts.target.name} has only {who(user)}"
        return ""

    def _unmet_version(self, device: Device) -> str:
        release = device.shell("uname -r").stdout.decode("utf-8", "replace").strip()
        found = _RELEASE.match(release)
        numbers = _numbers(found[0]) if found else ()
        for clause in _clauses(self.version):
            assert clause
            wanted = _numbers(clause[2])
            if not _COMPARED[clause[1]](numbers[: len(wanted)], wanted):
                shown = self.version.strip()
                return f"{shown} is required, and {device.name} runs {printable(release)}"
        return ""


def _clauses(version: str) -> list[re.Match[str] | None]:
    return [_CLAUSE.fullmatch(clause) for clause in version.split(",")]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
