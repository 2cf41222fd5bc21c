"""The kinds of test: each is run on a site, and gives a verdict."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from droidheaders import inserting, running
from droidheaders.cache import Cache
from droidheaders.loop import hosting, ktap
from droidheaders.loop.kept import Kept
from droidheaders.loop.making import Making, Timed
from droidheaders.loop.plan import Test
from droidheaders.loop.results import Subtest
from droidheaders.loop.sites import Site
from droidheaders.loop.tally import tallied
from droidheaders.run.execution import execute
from droidheaders.run.job import Job
from droidheaders.run.module import ModuleJob
from droidheaders.run.observing import lines_of
from droidheaders.run.verdict import Verdict

if TYPE_CHECKING:
    from droidheaders.adb import Piece
    from droidheaders.run.events import Event
    from droidheaders.run.splat import Splat

T = TypeVar("T")

_SKIP = 4  # KSFT_SKIP, tools/testing/selftests/kselftest.h


@dataclass
class Run:
    """One run of a test on a site; what it writes goes to `place`, `status` is its exit status.

    `subtests` are its own results, where it told some, also when it did not come to its end.
    Commands on the host are run in `directory`. `timeout` is in seconds; when `stopped` is set, it
    is to end soon. Complaints of the kernel that `allows` knows fail no test.
    """

    test: Test
    site: Site
    place: Path
    making: Making
    time: Timed
    directory: Path
    timeout: float
    stopped: threading.Event
    allows: Callable[[Splat], bool]
    status: int | None = None
    subtests: tuple[Subtest, ...] = ()

    def verdict(self) -> Verdict:
        """Run it, and return the verdict; raises DroidheadersError where it cannot be made."""
        kinds: Mapping[str, Callable[[], Verdict]] = {
            "bpf": self._bpf,
            "module": self._module,
            "kunit": self._kunit,
            "script": lambda: self._told(self._script),
            "kselftest": lambda: self._told(self._script),
            "host": lambda: self._told(self._host),
        }
        return kinds[self.test.kind]()

    def _told(self, run: Callable[[], Verdict], *, needed: bool = False) -> Verdict:
        """Return the verdict of `run` with the results in what it wrote, which may be `needed`."""
        parsed = ktap.Parsed(False)
        try:
            verdict = run()
        finally:
            with suppress(FileNotFoundError), (self.place / "stdout").open(errors="replace") as out:
                parsed = ktap.parse(out)
            self.subtests = parsed.subtests
        if needed and verdict.word == "pass" and not parsed.found:
            return replace(verdict, word="fail", message="there are no KTAP results in the log")
        return tallied(verdict, parsed)

    def _bpf(self) -> Verdict:
        job = Job(
            self.making.object(),
            variables=self.test.variables,
            triggers=self.test.triggers,
            expect=self.test.expect,
            seconds=self.test.seconds or (None if self.test.expect else 1.0),
            who=self.test.user,
        )
        with Kept(self.place / "stdout") as out:

            def show(event: Event) -> None:
                for line in lines_of(event):
                    out.line(line)

            return self._ran(lambda: running.run_bpf(self.site.device, job, show, self._cache))

    def _kunit(self) -> Verdict:
        # KUnit runs a module's suites before its insmod ends, lib/kunit/test.c.
        return self._told(lambda: self._module(patience=self.timeout), needed=True)

    def _module(self, patience: float = ModuleJob.patience) -> Verdict:
        job = ModuleJob(
            self.making.modules(),
            parameters=self.test.parameters,
            expect=self.test.expect,
            triggers=self.test.triggers,
            seconds=self.test.seconds,
            patience=patience,
            allows=self.allows,
        )
        with Kept(self.place / "stdout") as out:

            def show(event: Mapping[str, Any]) -> None:
                if event["type"] == "log":
                    out.line(f"[{event['seconds']:12.6f}] {event['text']}")

            return self._ran(lambda: inserting.run_module(self.site.device, job, show, self._cache))

    def _script(self) -> Verdict:
        file = self.making.file()

        def run(write: Callable[[Piece], None]) -> int:
            return execute(
                self.site.device,
                file,
                self.test.arguments,
                write,
                stdin=None,
                who=self.test.user,
                seconds=self.timeout,
            )

        self.status = self._written(run)
        return self._of_status(f"{file.name} on {self.site.device.name}")

    def _host(self) -> Verdict:
        variables = {**os.environ, **self.making.variables()}
        variables.pop("ADB_SERVER_SOCKET", None)  # which adb takes before the others

        def run(write: Callable[[Piece], None]) -> int | None:
            return hosting.run(
                self.test.command,
                self.directory,
                variables,
                write,
                seconds=self.timeout,
                stopped=self.stopped,
            )

        self.status = self._written(run)
        if self.status is None:
            return Verdict("timeout", f"the command still ran after {self.timeout:g} seconds")
        return self._of_status("the command")

    def _written(self, run: Callable[[Callable[[Piece], None]], T]) -> T:
        """Return what `run` returns, which is given what keeps its stdout and stderr."""
        with Kept(self.place / "stdout") as out, Kept(self.place / "stderr") as err:
            return self._ran(lambda: run(lambda one: (err if one.error else out).write(one.data)))

    def _of_status(self, what: str) -> Verdict:
        if self.status == 0:
            return Verdict("pass", f"{what} ended with status 0")
        if self.status == _SKIP:
            return Verdict("skip", f"{what} ended with status {_SKIP}, which says that it cannot")
        return Verdict("fail", f"{what} ended with status {self.status}")

    def _ran(self, run: Callable[[], T]) -> T:
        return self.time("run", run)

    def _cache(self) -> Cache:
        return self.making.cache
