"""One attempt at a case: a site, the test on it, and what the kernel had to say meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from droidheaders.adb import NoRootError, Server
from droidheaders.cache import Cache
from droidheaders.errors import DeviceLostError, DroidheadersError, NoDeviceError
from droidheaders.guest import image, recipes
from droidheaders.guest.boot import StartError
from droidheaders.loop import known, since
from droidheaders.loop.builds import Builds
from droidheaders.loop.complaints import complaints
from droidheaders.loop.kept import Kept
from droidheaders.loop.kinds import Run
from droidheaders.loop.making import Making, log_of
from droidheaders.loop.plan import Plan
from droidheaders.loop.results import Attempt, Case, Complaint, Subtest
from droidheaders.loop.sites import Site, Sites
from droidheaders.loop.watchdog import Watchdog
from droidheaders.run import loss
from droidheaders.run.verdict import Verdict, of_error
from droidheaders.surviving import console_of
from droidheaders.ui import printable

T = TypeVar("T")

_FILES = {
    "kernel": "kernel.log",
    "console": "console.log",
    "stdout": "stdout",
    "stderr": "stderr",
    "build": "build.log",
}


class Runner:
    """Runs cases of a plan, several at once if asked from several threads.

    Raises UsageError where the files of what is known of complaints are wrong.
    """

    def __init__(self, plan: Plan, server: Server, cache: Cache) -> None:
        self._plan = plan
        self._cache = cache
        self._sites = Sites(server)
        self._stopped = threading.Event()
        self._targets = {target.name: target for target in plan.targets}
        self._tests = {test.name: test for test in plan.tests}
        self._known = known.load(plan.allow, plan.deny)
        self._directory = plan.path.resolve().parent
        self._builds = Builds(cache, self._directory, self._stopped)

    def prepare(self) -> None:
        """Set up the images that are booted; raises what that does."""
        for target in self._plan.targets:
            if target.recipe:
                image.setup(recipes.load(target.recipe))

    def stop(self) -> None:
        """Have every attempt that runs end soon, and those that come end at once."""
        self._stopped.set()
        self._sites.end()

    def attempt(self, case: Case, place: Path) -> tuple[str, Attempt]:
        """Return the kernel's release, "" where none came up, and what became of the attempt.

        What was printed and logged is in the directory `place`, which is there.
        """
        started = time.monotonic()
        one = _One(self, case, place)
        try:
            verdict = one.run()
        except StartError as error:  # whether in time or not: no test has run
            verdict = Verdict("infra", error.message, error.hint)
        except DroidheadersError as error:
            verdict = replace(of_error(error), log=tuple(getattr(error, "__notes__", ())))
        if self._stopped.is_set():
            verdict = Verdict(None, "it was interrupted")
        verdict = one.judged(verdict)
        files = {what: name for what, name in _FILES.items() if (place / name).exists()}
        return one.kernel, Attempt(
            verdict,
            time.monotonic() - started,
            one.times,
            one.status,
            one.serial,
            one.complaints,
            {what: f"{place.parent.name}/{place.name}/{name}" for what, name in files.items()},
            one.subtests,
        )


class _One:
    """One attempt while it is made."""

    def __init__(self, runner: Runner, case: Case, place: Path) -> None:
        self._runner = runner
        self._target = runner._targets[case.target]
        self._test = runner._tests[case.test]
        self._case, self._place = case, place
        self._timeout = self._test.timeout or runner._plan.timeout
        self._overran = self._gone = False
        self._console = ""
        self._watchdog: Watchdog | None = None
        self.kernel = self.serial = ""
        self.status: int | None = None
        self.times: dict[str, float] = {}
        self.complaints: tuple[Complaint, ...] = ()
        self.subtests: tuple[Subtest, ...] = ()

    def run(self) -> Verdict:
        """Run the test on a site of its own, and return what it says of itself."""
        build = self._test.build
        if build and not build.for_kernel:  # before a guest is there, which would wait for it
            log = log_of(self._place)
            self._timed("build", lambda: self._runner._builds.step(build, None, os.environ, log))
        begun = time.monotonic()
        with self._runner._sites.of(self._target, self._case.persona) as site:
            self.times["guest" if site.guest else "device"] = time.monotonic() - begun
            self.serial = site.device.serial
            self.kernel = printable(site.device.shell("uname -r").stdout.decode().strip())
            before = len(site.console())
            moment = b"" if site.guest else self._moment(site)
            self._watchdog = Watchdog(self._timeout, lambda: self._overrun(site))
            try:
                with self._watchdog:
                    return self._ran(site) if site.guest else self._ran_on(site)
            finally:
                self._keep_logs(site, before, moment)

    def _ran_on(self, site: Site) -> Verdict:
        """Run the test on a device that is not ours, and return what became of both."""
        device, boot_id = site.device, site.device.boot_id()
        error: DroidheadersError
        try:
            verdict = self._ran(site)
            if verdict.word in ("panic", "lost", "timeout", None) or device.boot_id() == boot_id:
                return verdict
            error = DeviceLostError(f"{device.name} has booted since the test began")
        except (DeviceLostError, NoDeviceError) as e:
            if self._overran or self._runner._stopped.is_set():
                raise  # it was we who broke it off
            error = e
        return loss.judge(device, boot_id, error, console_of(device))

    def _ran(self, site: Site) -> Verdict:
        if self._runner._stopped.is_set():
            return Verdict(None, "it was interrupted")
        runner = self._runner
        run = Run(
            self._test,
            site,
            self._place,
            Making(self._test, site, self._place, runner._cache, runner._builds, self._timed),
            self._timed,
            runner._directory,
            self._timeout,
            runner._stopped,
            lambda splat: bool(runner._known.allows(splat, self.kernel)),
        )
        try:
            return run.verdict()
        finally:
            self.status, self.subtests = run.status, run.subtests

    def _timed(self, what: str, action: Callable[[], T]) -> T:
        begun = time.monotonic()
        try:
            with self._watchdog.paused() if self._watchdog and what == "build" else nullcontext():
                return action()
        finally:
            self.times[what] = self.times.get(what, 0.0) + time.monotonic() - begun

    def _overrun(self, site: Site) -> None:
        self._overran = True
        site.end()

    def _keep_logs(self, site: Site, before: int, moment: bytes) -> None:
        """Keep the console of a guest, and the kernel's log where root tells it; look at both.

        The guest is ended before its console is read: what it printed in its last moment counts.
        """
        log = b"" if self._overran and site.guest else self._kernel_log(site, moment)
        self._gone = site.gone and not self._overran
        if site.guest:
            site.end()
        self._console = site.console()[before:]
        if site.guest:
            self._write("console.log", self._console.encode())
        if log:
            self._write("kernel.log", log)
        seen = log.decode("utf-8", "replace") if log else self._console
        self.complaints = complaints(seen.split("\n"), self._runner._known, self.kernel)

    def _moment(self, site: Site) -> bytes:
        """Return what a device's log begins after for us: nothing where nobody is root."""
        try:
            with site.device.privileged() as root:
                return since.now(root)
        except NoRootError:
            return b""

    def _kernel_log(self, site: Site, moment: bytes) -> bytes:
        try:
            with site.device.privileged() as root:
                return since.log(root, moment)
        except NoRootError:
            return b""
        except DroidheadersError:
            site.await_end()
            return b""

    def _write(self, name: str, data: bytes) -> None:
        with Kept(self._place / name) as file:
            file.write(data)

    def judged(self, verdict: Verdict) -> Verdict:
        """Return the verdict with what is known beside the test: a panic is never a pass."""
        if words := loss.last_words(self._console):
            return replace(
                verdict, word="panic", message=f"{self._where} panicked: {words}", hint=""
            )
        if self._overran and verdict.word is not None:
            message = f"it was not over in {self._timeout:g} seconds on {self._where}"
            return replace(verdict, word="timeout", message=message, hint="")
        if self._gone and verdict.word is not None:
            message = f"{self._where} ended in the middle of the test; its kernel did not panic"
            return replace(verdict, word="lost", message=message, hint="")
        failing = [one for one in self.complaints if not one.allowed]
        if verdict.word == "pass" and failing:
            message = f"the kernel of {self._where} complained: {failing[0].title}"
            return replace(verdict, word="fail", message=message)
        return verdict

    @property
    def _where(self) -> str:
        return f"{self._case.target} ({self.kernel})" if self.kernel else self._case.target
