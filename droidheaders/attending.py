"""One run of modules that are on the device: what happens from the first insmod to the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from droidheaders import journal
from droidheaders.change import INSERTED, Change
from droidheaders.errors import DroidheadersError
from droidheaders.run.inserting import Inserter
from droidheaders.run.insertion import BEGUN
from droidheaders.run.module import Event, ModuleJob, Watch, complained, of_run
from droidheaders.run.splat import has_addresses, splats, symbolised
from droidheaders.run.triggers import Triggers
from droidheaders.run.verdict import Verdict
from droidheaders.surviving import console_of, restart
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device, Root
    from droidheaders.identifying import Answers
    from droidheaders.ordering import File
    from droidheaders.run.expecting import Expectations


@dataclass(frozen=True)
class Run:
    """One run of modules that are on the device, where the script of `inserter` waits for them.

    `kernel` is how a sentence calls that and the device.
    """

    root: Root
    job: ModuleJob
    files: Sequence[File]
    inserter: Inserter
    boot_id: str
    kernel: str

    @property
    def device(self) -> Device:
        """Where it is."""
        return self.root.device

    def run(self, expectations: Expectations, sink: Callable[[Event], None]) -> Verdict:
        """Insert, watch, remove, and return the verdict; raises what these do."""
        inserter = self.inserter
        watch = Watch(self.job, expectations, inserter, sink)
        if not watch.prepare():
            raise DroidheadersError(
                f"{self.device.name} could not begin: {inserter.reason}",
                f"{self.device.adb} shell su 0 dmesg",
            )
        self._check_absent()
        triggers = Triggers(self.root, self.job.triggers)
        self._follow(watch, triggers)
        return self._verdict(watch, triggers)

    def _check_absent(self) -> None:
        if there := self.inserter.told.present:
            name, state = next(iter(there.items()))
            hint = f"{self.device.adb} shell su 0 rmmod {printable(name)}"
            if state != "live":
                hint = restart(self.device)
            raise DroidheadersError(
                f"{printable(name)} is on {self.device.name} already ({printable(state, 20)})", hint
            )

    def _follow(self, watch: Watch, triggers: Triggers) -> None:
        """Follow the run with its modules in the journal, where those stay that are not removed."""
        told = self.inserter.told
        names = ",".join(one.name for one in self.files)
        change = Change(self.device.serial, INSERTED, names, self.boot_id)
        with journal.turn(self.device.serial, INSERTED):
            entry = journal.write(change)
        try:
            watch.follow(triggers)
            if told.ended and not told.stuck:
                entry.remove()
        finally:
            entry.release()

    def _verdict(self, watch: Watch, triggers: Triggers) -> Verdict:
        if has_addresses(watch.splats):
            with suppress(DroidheadersError):
                kallsyms = self.root.shell("cat /proc/kallsyms", timeout=60.0).stdout
                watch.splats[:] = symbolised(watch.splats, kallsyms)
        for splat in watch.splats:
            watch.tell(splat)
        watch.splats[:] = [splat for splat in watch.splats if not self.job.allows(splat)]
        verdict = of_run(watch, self.inserter, self.kernel, triggers.failures)
        return _restarted(verdict, self.device)


def _restarted(verdict: Verdict, device: Device) -> Verdict:
    """Name the command where the hint is to reboot the device."""
    if "reboot the device" not in verdict.hint:
        return verdict
    return replace(verdict, hint=verdict.hint.replace("reboot the device", restart(device), 1))


def lost(device: Device, answers: Answers, error: DroidheadersError) -> Verdict:
    """Return the verdict on a device that went away, with what its console has of a crash."""
    from droidheaders.run import loss

    console = console_of(device)
    verdict = loss.judge(device, answers.boot_id, error, console)
    found = (
        splats(BEGUN.split(console())[-1].splitlines())
        if console and verdict.word == "panic"
        else []
    )
    if not found:
        return verdict
    release = printable(answers.kernel.release)
    told = complained(found, f"{release} on {device.name}")
    return _restarted(replace(verdict, message=told.message, log=told.log, hint=told.hint), device)
