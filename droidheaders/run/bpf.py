"""Watch a BPF object that is loaded on the device, from the loader's first word to its last."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from droidheaders.run.events import Event
from droidheaders.run.expecting import Expectations
from droidheaders.run.job import DEFAULT_TIME, Job
from droidheaders.run.observing import Observed, lines_of
from droidheaders.run.verdict import Verdict
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.run.triggers import Triggers

_LOADING = 120.0  # seconds without a word before it is attached; to verify may take long
_ENDING = 15.0  # seconds without a word to dump maps and detach
_TICK = 1.0


class Source(Protocol):
    """Where events come from: a loader that runs."""

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""

    def read(self, timeout: float | None = None) -> Sequence[Event]:
        """Return what came, after waiting for it; nothing when it ended, or nothing came."""

    def close_stdin(self) -> None:
        """Ask it to end."""


class Watch:
    """One run. `seen` is what it has shown; the verdict is for whoever knows the device."""

    def __init__(
        self,
        job: Job,
        expectations: Expectations,
        source: Source,
        sink: Callable[[Event], None],
    ) -> None:
        self.expectations = expectations
        self.seen = Observed()
        self.interrupted = False
        self.silent = False
        self._job = job
        self._source = source
        self._sink = sink

    def follow(self, triggers: Triggers) -> None:
        """Pass on all that comes, until it is over; raises what reading raises.

        `silent` is set when the loader did not answer in time.
        """
        try:
            self._wait(lambda: self.seen.ready, _LOADING)
            if self.seen.ready:
                self._say_attached()
                triggers.start()
                self._observe()
        except KeyboardInterrupt:
            self.interrupted = True
            ui.say("interrupted: detaching; once more to break off")
        finally:
            triggers.stop()
        if self._source.status is None and not self.silent:
            self._source.close_stdin()
            self._wait(lambda: False, _ENDING)

    def _observe(self) -> None:
        deadline = self._deadline()
        while self._source.status is None and not self._is_over():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            self._take(left)

    def _deadline(self) -> float | None:
        seconds = self._job.seconds
        if seconds is None and self.expectations.wanted and not self.expectations.has_end:
            seconds = DEFAULT_TIME
        return None if seconds is None else time.monotonic() + seconds

    def _is_over(self) -> bool:
        if self.expectations.ended:
            return True
        # A time that was given is a time to watch for.
        early = self._job.seconds is None and not self.expectations.has_end
        return early and self.expectations.met

    def _wait(self, done: Callable[[], bool], patience: float) -> None:
        """Pass on what comes until `done`, or the loader ended or said nothing for so long."""
        heard = time.monotonic()
        while self._source.status is None and not done():
            if self._take(_TICK):
                heard = time.monotonic()
            elif time.monotonic() - heard > patience:
                self.silent = True
                return

    def _take(self, timeout: float | None) -> bool:
        events = self._source.read(timeout)
        for event in events:
            self.seen.take(event)
            self.expectations.see(lines_of(event))
            self._sink(event)
        return bool(events)

    def _say_attached(self) -> None:
        for one in self.seen.attached:
            ui.say(f"attached {one}")
        for one in self.seen.unattached:
            ui.warn(f"not attached: {one}")

    def verdict(self, failures: Sequence[str]) -> Verdict:
        """Return what became of a run whose loader ended as it was asked to.

        `failures` are those of the triggers.
        """
        wanted = self.expectations
        if self.interrupted and (wanted.wanted or wanted.has_end) and not wanted.met:
            return Verdict(None, "interrupted before what was waited for came")
        count = f"{wanted.lines} {'line' if wanted.lines == 1 else 'lines'} of output"
        if wanted.missing:
            return self._unmet(failures)
        if wanted.has_end and not wanted.ended:
            return Verdict(
                "timeout",
                f"in {self._job.seconds or 0:g} seconds no line matched --until"
                f" {printable(str(self._job.until))}, of {count}",
                "give it more time with --for SECONDS",
            )
        if wanted.wanted:
            return Verdict("pass", f"all that was expected came, in {count}")
        return Verdict("pass", f"it ran, with {count}")

    def _unmet(self, failures: Sequence[str]) -> Verdict:
        missing = ", ".join(printable(pattern) for pattern in self.expectations.missing)
        hint = failures[0] if failures else ""
        if self.expectations.lines:
            return Verdict(
                "fail",
                f"no line of output matched {missing}, of {self.expectations.lines} that came",
                hint or "see what came on stdout, or give it more time with --for SECONDS",
            )
        hint = hint or (
            "make it fire with --trigger COMMAND, or give it more time with --for SECONDS"
            if not self._job.triggers
            else "does what the trigger does get to where the program is attached?"
        )
        return Verdict("fail", f"there was no output, and {missing} was expected", hint)
