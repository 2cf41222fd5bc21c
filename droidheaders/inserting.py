"""A run of kernel modules: what is known of device, kernel, cache and guests, put together."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders import gathering, journal
from droidheaders.change import INSERTED, Change
from droidheaders.errors import (
    DeviceLostError,
    DroidheadersError,
    NoDeviceError,
    UnsupportedError,
    UsageError,
)
from droidheaders.identifying import Questions
from droidheaders.objects import module as modules
from droidheaders.objects.module import Module
from droidheaders.run.expecting import Expectations
from droidheaders.run.greeting import Greeting, greet
from droidheaders.run.inserting import BEGUN, Inserter, Insertion, no_log, parameter
from droidheaders.run.meanwhile import Meanwhile
from droidheaders.run.module import Event, ModuleJob, Watch, complained, of_run
from droidheaders.run.recovery import recover
from droidheaders.run.scratch import reserved
from droidheaders.run.splat import has_addresses, splats, symbolised
from droidheaders.run.triggers import Triggers
from droidheaders.run.verdict import Verdict
from droidheaders.surviving import console_of, restart
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device, Root
    from droidheaders.cache import Cache
    from droidheaders.preflight.facts import Facts

_NAME = re.compile(r"[0-9A-Za-z_]{1,55}")  # shorter than MODULE_NAME_LEN, and no shell's business
_MOST = 32
_LAYOUT = "module_layout"


@dataclass(frozen=True)
class _File:
    """A module as it is on this host, decompressed, and what it is called with."""

    path: Path
    module: Module
    data: bytes
    parameters: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.module.name or self.path.name.partition(".")[0].replace("-", "_")


def run_module(
    device: Device,
    job: ModuleJob,
    sink: Callable[[Event], None],
    open_cache: Callable[[], Cache],
) -> Verdict:
    """Insert the modules on the device, watch its log, remove them, and return what came of it.

    `sink` gets what happens as it comes. The device is left as it was found, but for what a crash
    of its kernel makes of it, and for what cannot be removed, which the journal has then. Raises
    UsageError for a file that is no module, UnsupportedError for one that the kernel does not take
    by what is known beforehand, NoRootError, and DroidheadersError when the run cannot be made.
    """
    files = _ordered(_with_parameters([_read(path) for path in job.files], job.parameters))
    expectations = Expectations(job.expect, None)
    recover(device)
    greeting: Greeting | None = None
    with device.privileged() as root:
        try:
            with reserved(device) as place:
                questions = Questions()
                with Meanwhile(lambda: greet(device, place)) as asked:
                    from droidheaders.preflight import module_file  # 0.1 s  # noqa: F401

                    greeting = asked.result()
                told = root.shell(questions.script).stdout
                facts = questions.facts(device, told, open_cache)
                kernel = _judge(device, facts, files, open_cache, force=job.force)
                device.push_all([(one.data, f"{place}/{one.name}.ko", 0o644) for one in files])
                run = _Run(device, job, files, greeting, place, kernel)
                return run.run(root, expectations, sink)
        except (DeviceLostError, NoDeviceError) as e:
            if greeting is None:
                raise
            return _lost(device, greeting, e)


def _read(path: Path) -> _File:
    name = printable(str(path), 500)
    try:
        found = modules.read(path)
        data, _ = modules.unpacked(path.read_bytes())
    except OSError as e:
        raise UsageError(f"cannot read {name}: {e.strerror}", "give a kernel module, a .ko") from e
    except ValueError as e:
        raise UsageError(f"{name} {printable(str(e))}", "droidheaders build module DIR") from e
    file = _File(path, found, data)
    if not _NAME.fullmatch(file.name):
        raise UsageError(
            f"{name} calls itself {printable(file.name)!r}, which is no module's name",
            "build it anew: kbuild makes a plain name of its file's",
        )
    return file


def _with_parameters(files: Sequence[_File], parameters: Sequence[str]) -> list[_File]:
    """Give each its parameters: MODULE.NAME=VALUE says whose, NAME=VALUE is the last one's."""
    given: dict[str, list[str]] = {one.name: [] for one in files}
    if len(given) < len(files) or len(files) > _MOST:
        raise UsageError(
            f"{len(files)} modules are given, and {len(given)} names: each once, {_MOST} at most",
            "leave out what is given twice",
        )
    for text in parameters:
        owner, dot, rest = text.partition(".")
        named = bool(dot) and "=" not in owner
        name = owner.replace("-", "_") if named else files[-1].name
        if name not in given:
            raise UsageError(
                f"--param {printable(text)}: no module {printable(name)} is given",
                f"the modules are {', '.join(given)}",
            )
        try:
            given[name].append(parameter(rest if named else text))
        except ValueError as e:
            raise UsageError(
                f"--param {printable(text)} {e}", "--param times=3, or --param hello.times=3"
            ) from e
    return [replace(one, parameters=tuple(given[one.name])) for one in files]


def _ordered(files: Sequence[_File]) -> list[_File]:
    """Return the modules each after what it needs of the others, by name or by symbol."""
    named = {one.name: one for one in files}
    exporters = {symbol: one.name for one in files for symbol in one.module.exports}
    needs: dict[str, set[str]] = {}
    for one in files:
        symbols = one.module.undefined | one.module.weak
        users = {exporters[symbol] for symbol in symbols & exporters.keys()}
        needs[one.name] = (users | set(one.module.depends)) & named.keys() - {one.name}
    try:
        return [named[name] for name in TopologicalSorter(needs).static_order()]
    except CycleError as e:
        circle = " ".join(map(str, e.args[1]))
        raise UsageError(
            f"the modules need each other in a circle: {printable(circle)}",
            "depmod refuses them as well: move what both need into a third",
        ) from e


def _judge(
    device: Device,
    known: Facts | None,
    files: Sequence[_File],
    open_cache: Callable[[], Cache],
    *,
    force: bool,
) -> str:
    """Return how a sentence calls the kernel; UnsupportedError when it does not take a module.

    The device is asked where the cache does not know its kernel. What costs a second to ask for and
    the kernel itself finds out without harm is left to it: which symbols it exports, where nothing
    was collected of that.
    """
    from droidheaders.preflight.module_file import judge

    facts = _with_layout(known, device, files, open_cache)
    facts = _with_given(gathering.with_symvers(facts, open_cache()), files)
    target = facts.target
    for one in files:
        answer = judge(one.module, target).answer
        named = f"{printable(one.name)} on {target.name}: {answer.because}"
        if answer.verdict == "no" and not force:
            raise UnsupportedError(f"no use to load {named}", answer.hint)
        if answer.verdict in ("no", "risky"):
            ui.warn(named)
    return target.name


def _with_layout(
    known: Facts | None, device: Device, files: Sequence[_File], open_cache: Callable[[], Cache]
) -> Facts:
    """Return what is known of the kernel, with its types where struct module's size needs them.

    That is where nothing else would keep a module of
    another layout from overwriting memory: neither the CRC of module_layout, nor the kernel's own
    comparison, which came with 6.4 (elf_validity_cache_index_mod()).
    """
    facts = gathering.of_device(device, open_cache) if known is None else known
    number = facts.target.kernel.number or (0, 0)
    if number[:2] >= (6, 4) or all(_LAYOUT in (file.module.versions or {}) for file in files):
        return facts
    if facts.inquiry is None and not (facts.bundle and "btf" in facts.bundle.parts):
        facts = gathering.of_device(device, open_cache)
    return gathering.with_types(facts, device, {"module"})


def _with_given(facts: Facts, files: Sequence[_File]) -> Facts:
    """Add what the modules export to each other, where it is known what the kernel exports."""
    exports = facts.target.exports
    if exports is None or len(files) == 1:
        return facts
    from droidheaders.kernel.exports import Exports, merge

    given = {name: export for one in files for name, export in one.module.exports.items()}
    merged = merge(Exports(given, False, "the modules given"), exports)
    return replace(facts, target=replace(facts.target, exports=merged))


@dataclass(frozen=True)
class _Run:
    """One run of modules that are on the device, in the directory `place`."""

    device: Device
    job: ModuleJob
    files: Sequence[_File]
    greeting: Greeting
    place: str
    kernel: str

    def run(self, root: Root, expectations: Expectations, sink: Callable[[Event], None]) -> Verdict:
        """Insert, watch, remove, and return the verdict; raises what these do."""
        inserted = [Insertion(one.name, f"{one.name}.ko", one.parameters) for one in self.files]
        with Inserter(root, self.place, inserted) as inserter:
            watch = Watch(self.job, expectations, inserter, sink)
            if not watch.prepare():
                if not inserter.has_log:
                    raise no_log(root)
                raise DroidheadersError(
                    f"{self.device.name} could not begin: {inserter.reason}",
                    f"{self.device.adb} shell su 0 ls -ld {self.place}",
                )
            self._check_absent(inserter)
            triggers = Triggers(root, self.job.triggers)
            self._follow(watch, inserter, triggers)
            return self._verdict(watch, inserter, triggers, root)

    def _check_absent(self, inserter: Inserter) -> None:
        if there := inserter.told.present:
            name, state = next(iter(there.items()))
            hint = f"{self.device.adb} shell su 0 rmmod {printable(name)}"
            if state != "live":
                hint = restart(self.device)
            raise DroidheadersError(
                f"{printable(name)} is on {self.device.name} already ({printable(state, 20)})", hint
            )

    def _follow(self, watch: Watch, inserter: Inserter, triggers: Triggers) -> None:
        """Follow the run with its modules in the journal, where those stay that are not removed."""
        names = ",".join(one.name for one in self.files)
        change = Change(self.device.serial, INSERTED, names, self.greeting.boot_id)
        with journal.turn(self.device.serial, INSERTED):
            entry = journal.write(change)
        try:
            watch.follow(triggers)
            if inserter.told.ended and not inserter.told.stuck:
                entry.remove()
        finally:
            entry.release()

    def _verdict(self, watch: Watch, inserter: Inserter, triggers: Triggers, root: Root) -> Verdict:
        if has_addresses(watch.splats):
            with suppress(DroidheadersError):
                kallsyms = root.shell("cat /proc/kallsyms", timeout=60.0).stdout
                watch.splats[:] = symbolised(watch.splats, kallsyms)
        for splat in watch.splats:
            watch.tell(splat)
        verdict = of_run(watch, inserter, self.kernel, triggers.failures)
        return _restarted(verdict, self.device)


def _restarted(verdict: Verdict, device: Device) -> Verdict:
    """Name the command where the hint is to reboot the device."""
    if "reboot the device" not in verdict.hint:
        return verdict
    return replace(verdict, hint=verdict.hint.replace("reboot the device", restart(device), 1))


def _lost(device: Device, greeting: Greeting, error: DroidheadersError) -> Verdict:
    """Return the verdict on a device that went away, with what its console has of a crash."""
    from droidheaders.run import loss

    console = console_of(device)
    verdict = loss.judge(device, greeting.boot_id, error, console)
    found = (
        splats(BEGUN.split(console())[-1].splitlines())
        if console and verdict.word == "panic"
        else []
    )
    if not found:
        return verdict
    told = complained(found, f"{greeting.release} on {device.name}")
    return _restarted(replace(verdict, message=told.message, log=told.log, hint=told.hint), device)
