"""Watch modules on a device from the first insmod to the last rmmod, and give a verdict."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from droidheaders.run.expecting import Expectations
from droidheaders.run.insmod import explain, note
from droidheaders.run.splat import BROKEN, Splat, Splats
from droidheaders.run.verdict import Verdict
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.run.inserting import Inserter
    from droidheaders.run.kmsg import Line
    from droidheaders.run.triggers import Triggers

DEFAULT_TIME = 10.0
"""Seconds that expected lines are waited for, where no time is given."""

_TICK = 0.25
_DRAIN = 1.0  # seconds that the last of the log is waited for
_AFTERWARDS = 5.0  # seconds that insmod and rmmod are waited for in a kernel that is broken
_KEPT = 400  # lines of the log

Event = dict[str, Any]


@dataclass(frozen=True)
class ModuleJob:
    """What is to be run, and what for.

    `parameters` are NAME=VALUE for the last of `files`, or MODULE.NAME=VALUE. `triggers` are run on
    the device once all are loaded. It is watched for `seconds`; without, until `expect` came
    (DEFAULT_TIME at most) and the triggers ended. `keep` leaves the modules loaded. `force` has
    them inserted although the kernel will not take them, by all that is known. `patience` is how
    long an insmod or rmmod is waited for, in seconds. Complaints of the kernel that `allows` knows
    do not fail the run.
    """

    files: tuple[Path, ...]
    parameters: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    seconds: float | None = None
    keep: bool = False
    force: bool = False
    patience: float = 30.0
    allows: Callable[[Splat], bool] = lambda _: False


class Watch:
    """One run. `splats` is what the kernel complained of meanwhile; the log's end is `log`."""

    def __init__(
        self,
        job: ModuleJob,
        expectations: Expectations,
        inserter: Inserter,
        sink: Callable[[Event], None],
    ) -> None:
        self.expectations = expectations
        self.interrupted = False
        self.silent = ""
        self._going = False
        self.log: deque[str] = deque(maxlen=_KEPT)
        self._job = job
        self._inserter = inserter
        self._sink = sink
        self._finder = Splats()
        self._told: set[str] = set()
        self._since = 0  # lines of the log when the module was tried that was refused
        self._lines = 0

    @property
    def splats(self) -> list[Splat]:
        """What the kernel complained of, first one first."""
        return self._finder.found

    @property
    def broken(self) -> bool:
        """Whether the kernel is not to be trusted any more."""
        return any(splat.kind in BROKEN for splat in self.splats)

    @property
    def since_insertion(self) -> list[str]:
        """The lines logged since the last module was inserted: of one that was refused."""
        count = self._lines - self._since
        return [*self.log][-count:] if count else []

    def prepare(self) -> bool:
        """Wait until the script is ready, and return whether it is; raises what reading raises.

        And until the log has been read to the script's mark, which a flood could overwrite.
        """
        if not self._wait(lambda: self._inserter.told.ready, "getting ready"):
            return False
        deadline = time.monotonic() + _DRAIN
        while not self._inserter.begun and (left := deadline - time.monotonic()) > 0:
            self._take(left)
        self._inserter.begun = True  # printk_devkmsg=off takes no marks: what comes now is new
        return True

    def follow(self, triggers: Triggers) -> None:
        """Insert, watch and remove, and pass on all that comes; raises what reading raises.

        `silent` says what did not end in time.
        """
        told = self._inserter.told
        self._take(0.0)
        self._going = True
        self._inserter.tell("go")
        try:
            self._wait(lambda: told.loaded, "insmod")
            if not self.silent and not told.refused:
                triggers.start()
                self._observe(triggers)
        except KeyboardInterrupt:
            self.interrupted = True
            ui.say("interrupted: removing what was loaded; once more to break off")
        finally:
            triggers.stop()
        if self.silent or not self._wait(lambda: told.loaded, "insmod"):
            return
        self._inserter.tell("keep" if self._job.keep and not self.interrupted else "remove")
        if self._wait(lambda: told.ended, "rmmod"):
            self._drain()
            self._inserter.tell("bye")

    def _observe(self, triggers: Triggers) -> None:
        start = time.monotonic()
        seconds = self._job.seconds
        if seconds is None and self.expectations.wanted:
            seconds = DEFAULT_TIME
        while self._inserter.status is None and not self._is_over(triggers):
            left = _TICK if seconds is None else start + seconds - time.monotonic()
            if left <= 0:
                return
            self._take(min(left, _TICK))

    def _is_over(self, triggers: Triggers) -> bool:
        # A time that was given without an expectation is a time to watch for.
        if self._job.seconds is not None and not self.expectations.wanted:
            return False
        return (self.expectations.met or not self.expectations.wanted) and not triggers.running

    def _wait(self, done: Callable[[], bool], what: str) -> bool:
        """Pass on what comes until `done`; False, and `silent` set, when it takes too long."""
        start = time.monotonic()
        while not done():
            if self._inserter.status is not None:
                return False
            patience = min(self._job.patience, _AFTERWARDS if self.broken else math.inf)
            if time.monotonic() > start + patience:
                self.silent = what
                return False
            self._take(_TICK)
        return True

    def _drain(self) -> None:
        deadline = time.monotonic() + _DRAIN
        while not self._inserter.drained and (left := deadline - time.monotonic()) > 0:
            if self._inserter.status is not None:
                return
            self._take(left)

    def _take(self, timeout: float) -> None:
        for line in self._inserter.read(timeout):
            if self._going:  # what came before is not of the modules: it may be of our questions
                self._show(line)
        self._tell_steps()

    def _show(self, line: Line) -> None:
        text = str(line)
        self.log.append(text)
        self._lines += 1
        self.expectations.see([line.text])
        self._sink({"type": "log", "level": line.level, "seconds": line.seconds, "text": line.text})
        if splat := self._finder.see(line.text):
            ui.warn(f"the kernel complains: {splat.title}")

    def tell(self, splat: Splat) -> None:
        """Pass on a complaint, once its frames are known."""
        self._sink(
            {
                "type": "splat",
                "kind": splat.kind,
                "title": splat.title,
                "frames": list(splat.frames),
                "module": splat.module,
            }
        )

    def _tell_steps(self) -> None:
        told = self._inserter.told
        for word, names in (("inserted", told.inserted), ("removed", told.removed)):
            for name in names:
                if (key := f"{word} {name}") not in self._told:
                    self._told.add(key)
                    self._sink({"type": word, "module": printable(name)})
                    if word == "inserted":
                        self._since = self._lines


def of_run(watch: Watch, inserter: Inserter, kernel: str, failures: Sequence[str]) -> Verdict:
    """Return what became of a run whose script ended, or fell silent.

    `kernel` is how a sentence calls it and its device, `failures` are those of the triggers.
    """
    told = inserter.told
    if watch.silent and not watch.broken:
        return _silent(watch, inserter, kernel)
    if watch.splats:
        also = f"; {watch.silent} did not end after that" if watch.silent else ""
        return complained(watch.splats, kernel, also)
    if told.refused:
        return _refused(watch, inserter, kernel)
    if told.stuck:
        name, stuck = next(iter(told.stuck.items()))
        return _fail(
            f"{printable(name)} could not be removed from {kernel}: {stuck}",
            "end what uses it; the next run on the device tries again",
        )
    if told.left:
        return _fail(
            f"{', '.join(told.left[:4])} came with the modules and stayed on {kernel} without them:"
            " whoever opens it crashes the kernel",
            "have the module's exit remove it, and reboot the device",
        )
    return _observed(watch, inserter, kernel, failures)


def _observed(watch: Watch, inserter: Inserter, kernel: str, failures: Sequence[str]) -> Verdict:
    told, wanted = inserter.told, watch.expectations
    if watch.interrupted and wanted.missing:
        return Verdict(None, "interrupted before what was waited for came")
    count = f"{wanted.lines} {'line' if wanted.lines == 1 else 'lines'} of the kernel's log"
    if wanted.missing:
        missing = " and ".join(printable(pattern) for pattern in wanted.missing)
        because = f"; {failures[0]}" if failures else ""
        return _fail(f"nothing matched {missing} on {kernel}, in {count}{because}")
    if failures:
        return _fail(f"{failures[0]} on {kernel}")
    names = ", ".join(map(printable, told.inserted))
    how = "loaded and unloaded" if told.removed else "loaded, and kept,"
    lost = f"; {inserter.kmsg.lost} more were lost" if inserter.kmsg.lost else ""
    return Verdict("pass", f"{names} {how} on {kernel}: {count}{lost}{note(watch.log)}")


def _silent(watch: Watch, inserter: Inserter, kernel: str) -> Verdict:
    told = inserter.told
    if watch.silent == "insmod":
        message = f"insmod did not end on {kernel}: the module's init does not return"
        if told.inserted:
            message += f", after {', '.join(map(printable, told.inserted))}"
        hint = "reboot the device: nothing ends an insmod whose module is still in its init"
    elif watch.silent == "rmmod":
        message = f"rmmod did not end on {kernel}: the module's exit does not return"
        hint = "reboot the device: nothing ends an rmmod whose module is still in its exit"
    else:
        return Verdict("timeout", f"the shell of {kernel} went silent", "look at its dmesg")
    trace = tuple(line for splat in watch.splats for line in _lines(splat))
    return Verdict("timeout", message, hint, trace)


def complained(splats: Sequence[Splat], kernel: str, also: str = "") -> Verdict:
    """Return the verdict on a run in whose time the kernel complained: by what broke it, if any."""
    first = next((one for one in splats if one.kind in BROKEN), splats[0])
    more = f" (and {len(splats) - 1} more)" if len(splats) > 1 else ""
    at = f", in {first.frames[0]}" if first.frames and first.frames[0] not in first.title else ""
    broken = any(splat.kind in BROKEN for splat in splats)
    hint = "reboot the device: its kernel is not to be trusted after this" if broken else ""
    lines = tuple(line for splat in splats for line in _lines(splat))
    return Verdict("fail", f"{first.kind} on {kernel}: {first.title}{at}{more}{also}", hint, lines)


def _refused(watch: Watch, inserter: Inserter, kernel: str) -> Verdict:
    assert inserter.told.refused
    name, status, said = inserter.told.refused
    log = watch.since_insertion
    why = explain(said, log)
    message = f"{kernel} did not take {printable(name)}: {why.because}"
    if status > 128:
        message = f"insmod of {printable(name)} was killed on {kernel} by signal {status - 128}"
    return Verdict("skip" if why.cannot else "fail", message, why.hint, tuple(log[-20:]))


def _fail(message: str, hint: str = "") -> Verdict:
    return Verdict("fail", message, hint)


def _lines(splat: Splat) -> list[str]:
    return [splat.title, *(f"  {frame}" for frame in splat.frames[:8])]
