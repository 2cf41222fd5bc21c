"""Modules that are put into a kernel and taken out again: one script on the device, and its words.

The kernel's log comes on the script's stdout. On stderr it answers questions first, and then has
words of its own, each after a nonce. It waits for a line on stdin where the host decides. When
nobody is there any more, stdin ends, and it takes out what it put in. The place is gone by then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from droidheaders.errors import DeviceTimeoutError, DroidheadersError
from droidheaders.run.insertion import NO_LOG, NO_PLACE, Insertion, script_of
from droidheaders.run.kmsg import Kmsg, Line
from droidheaders.run.scratch import making
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device, Root, Session

_LONGEST = 1 << 20  # bytes of a line of the script's, a listing has 10 KiB, or of its answers


@dataclass
class Stuck:
    """A module that could not be removed: what was said, who uses it and in what state it is."""

    said: str
    references: str = ""
    state: str = ""
    holders: tuple[str, ...] = ()

    def __str__(self) -> str:
        by = f" by {', '.join(self.holders)}" if self.holders else ""
        if self.state not in ("live", ""):
            return f"it is {'still in its init' if self.state == 'coming' else 'going'}"
        return f"in use{by}, {self.references} references" if self.references != "0" else self.said


@dataclass
class Told:
    """What the script has said so far.

    `present` are modules that were there before, with the state each is in; `refused` is one with
    insmod's status and words; `gone` is the place.
    """

    present: dict[str, str] = field(default_factory=dict)
    ready: bool = False
    inserted: list[str] = field(default_factory=list)
    refused: tuple[str, int, str] | None = None
    loaded: bool = False
    removed: list[str] = field(default_factory=list)
    stuck: dict[str, Stuck] = field(default_factory=dict)
    tainted: int | None = None
    gone: bool = False
    ended: bool = False
    shown: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def left(self) -> list[str]:
        """What came with the modules below /proc and /dev, and did not go with them."""
        none: frozenset[str] = frozenset()
        before, live, after = (self.shown.get(key, none) for key in ("before", "live", "after"))
        return sorted(printable(path) for path in (live & after) - before)


class Inserter:
    """The script while it runs as root in `place`; a context manager, which hangs up on leaving.

    It makes the place, as the shell's user, for files to be pushed into. `questions` are a script
    of its own, which writes `end` last. Reading raises what Session.read raises.
    """

    def __init__(
        self, root: Root, place: str, modules: Sequence[Insertion], questions: str, end: bytes
    ) -> None:
        self.told = Told()
        self._nonce = os.urandom(8).hex()
        self._begin, self._end = (f"droidheaders: {self._nonce} {w}s" for w in ("begin", "end"))
        self.begun = self.drained = False
        self.kmsg = Kmsg()
        self._said = b""
        self._words: list[str] = []
        self._answers: bytes | None = None
        self._asked = b""  # of the answers, what came so far
        self._last = end
        self._device = root.device.name
        script = script_of(self._nonce, place, modules, questions)
        self._session: Session = root.session(script, first=f"{making(place)} 2>/dev/null")

    def __enter__(self) -> Inserter:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    @property
    def status(self) -> int | None:
        """The script's exit status, None while it runs."""
        return self._session.status

    def tell(self, word: str) -> None:
        """Answer the script: go, keep or remove."""
        self._session.write(f"{word}\n".encode())

    def read(self, timeout: float | None) -> list[Line]:
        """Return what the kernel logged since the modules' run began, and note what was told.

        Empty when nothing came in time, or the script has ended.
        """
        lines: list[Line] = []
        for piece in self._session.read(timeout):
            if piece.error:
                self._hear(self._after_answers(piece.data))
            else:
                lines += self._since(self.kmsg.feed(piece.data))
        return lines

    def answers(self, timeout: float) -> bytes | None:
        """Wait for the answers to the questions; None when the script ended before it had them.

        What the kernel logs meanwhile is dropped. Raises DeviceTimeoutError after `timeout`
        seconds.
        """
        deadline = time.monotonic() + timeout
        while self._answers is None:
            if self.status is not None:
                self._hear(self._asked + b"\n")  # then it is why
                return None
            if (left := deadline - time.monotonic()) <= 0 or len(self._asked) > _LONGEST:
                raise DeviceTimeoutError(
                    f"{self._device} did not tell its kernel in {timeout:g} seconds",
                    "look at `droidheaders devices`, or give more time with --timeout SECONDS",
                )
            self.read(left)
        return self._answers

    @property
    def reason(self) -> str:
        """What the script's commands said last that is no word of its own, fit for a sentence."""
        return printable(" ".join(self._words[-2:])) or "no reason given"

    @property
    def has_log(self) -> bool:
        """Whether the kernel's log could be opened, as far as is known."""
        return self.status != NO_LOG

    @property
    def has_place(self) -> bool:
        """Whether the place could be made, as far as is known."""
        return self.status != NO_PLACE

    def _after_answers(self, data: bytes) -> bytes:
        if self._answers is not None:
            return data
        self._asked += data
        answers, end, rest = self._asked.partition(self._last)
        if end:
            self._answers, self._asked = answers + end, b""
        return rest

    def _since(self, lines: list[Line]) -> list[Line]:
        found = []
        for line in lines:
            if self._begin in line.text:
                self.begun, self.kmsg.lost = True, 0
            elif self._end in line.text:
                self.drained = True
            elif self.begun and not self.drained:
                found.append(line)
        return found

    def _hear(self, data: bytes) -> None:
        *lines, self._said = (self._said + data).split(b"\n")
        self._said = self._said[:_LONGEST]
        for line in lines:
            nonce, _, rest = line.decode("utf-8", "replace").partition(" ")
            if nonce == self._nonce:
                self._note(*rest.split())
            elif line.strip():
                self._words = [*self._words[-8:], printable(f"{nonce} {rest}".strip())]

    def _note(self, word: str = "", *rest: str) -> None:
        told = self.told
        if word in ("before", "live", "after"):
            told.shown[word] = frozenset(rest)
        elif word == "present":
            told.present[rest[0] if rest else ""] = rest[1] if len(rest) > 1 else "built in"
        elif word == "ready":
            told.ready = True
            self._words.clear()
        elif word == "put":
            self._put(*rest)
        elif word == "loaded":
            told.loaded = True
        elif word == "took":
            self._took(*rest)
        elif word == "stuck":
            self._stuck(*rest)
        elif word == "tainted":
            told.tainted = int(rest[0]) if rest and rest[0].isdecimal() else None
        elif word == "gone":
            told.gone = True
        elif word == "end":
            told.ended = True

    def _put(self, name: str = "", status: str = "1") -> None:
        if status == "0":
            self.told.inserted.append(name)
        else:
            self.told.refused = name, int(status) if status.isdecimal() else 1, self.reason
        self._words.clear()

    def _took(self, name: str = "", status: str = "1") -> None:
        if status == "0":
            self.told.removed.append(name)
        else:
            self.told.stuck[name] = Stuck(self.reason)
        self._words.clear()

    def _stuck(self, name: str = "", count: str = "", state: str = "", *holders: str) -> None:
        if stuck := self.told.stuck.get(name):
            stuck.references, stuck.state = printable(count, 20), printable(state, 20)
            stuck.holders = tuple(printable(one, 64) for one in holders[:8])


def no_log(device: Device) -> DroidheadersError:
    """Return the error that the kernel's log cannot be followed."""
    return DroidheadersError(
        f"{device.name} does not let root read /dev/kmsg, by which a module is watched",
        f"{device.adb} shell su 0 ls -lZ /dev/kmsg",
    )
