"""A run of a BPF object: what the rooms know of device, kernel, cache and guests, put together.

The kernel is asked by loading the object: no question beforehand costs less than that, or is
answered as surely. What `check` would say of it is asked when the kernel refuses, to tell what it
lacks from what is wrong with the program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droidheaders.adb.shell import last_line
from droidheaders.errors import DeviceLostError, NoDeviceError, UnsupportedError, UsageError
from droidheaders.kernel.probe import BTF
from droidheaders.objects.bpf import BpfObject, read_bpf
from droidheaders.objects.registers import TARGETS, registers_of
from droidheaders.run import loader
from droidheaders.run.bpf import Job, Watch
from droidheaders.run.bpftool import Bpftool, script
from droidheaders.run.events import Event
from droidheaders.run.expecting import Expectations
from droidheaders.run.greeting import Greeting, become, greet
from droidheaders.run.meanwhile import Meanwhile
from droidheaders.run.naming import check_maps, check_variables
from droidheaders.run.process import Process
from droidheaders.run.recovery import recover
from droidheaders.run.scratch import file_name, scratch
from droidheaders.run.triggers import Triggers
from droidheaders.run.verdict import Verdict
from droidheaders.ui import printable

if TYPE_CHECKING:
    from pathlib import Path

    from droidheaders.adb import Device, Root
    from droidheaders.cache import Cache
    from droidheaders.preflight.answer import Report

_OBJECT = "object.o"
_ARCH = {"aarch64": "arm64", "x86_64": "x86_64"}
_LARGEST = 64 << 20  # of an object; those of a thousand programs have 2 MB
_SIGNALS = {6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}


def run_bpf(
    device: Device,
    job: Job,
    sink: Callable[[Event], None],
    open_cache: Callable[[], Cache],
) -> Verdict:
    """Load the object on the device, watch it, and return what became of it.

    `sink` gets the loader's events as they come. The device is left as it was found. Raises
    UsageError for an object or a name that is wrong by itself, UnsupportedError for another
    architecture's object, NoRootError, and DroidheadersError when the run cannot be made.
    """
    file, data = _read(job.object)
    expectations = Expectations(job.expect, job.until)
    check_maps(file, (*job.entries, *job.dumps, *job.samples))
    check_variables(file, job.variables)
    if job.bpftool:
        job.check_bpftool()
    recover(device)
    greeting = greet(device)
    _check(device, file, greeting)
    run = _Run(device, job, file, data, greeting, open_cache)
    with device.privileged() as root:
        try:
            return run.run(root, expectations, sink)
        except (DeviceLostError, NoDeviceError) as e:  # there was one a moment ago
            from droidheaders.run import loss

            return loss.judge(device, greeting.boot_id, e, _console(device))


def _read(path: Path) -> tuple[BpfObject, bytes]:
    name = printable(str(path), 500)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST)
        return read_bpf(data), data
    except OSError as e:
        raise UsageError(f"cannot read {name}: {e.strerror}", "give a BPF object") from e
    except ValueError as e:
        raise UsageError(
            f"{name} {printable(str(e))}", "compile one: droidheaders build bpf prog.bpf.c"
        ) from e


def _check(device: Device, file: BpfObject, greeting: Greeting) -> None:
    """Raise UnsupportedError for what would load, if at all, and see other things than it means."""
    machine = greeting.machine
    if machine not in _ARCH:
        raise UnsupportedError(
            f"{device.name} is {printable(machine)}, and BPF is run on {' and '.join(_ARCH)} only"
        )
    if theirs := registers_of(file, machine):
        raise UnsupportedError(
            f"the object reads the registers of {theirs} (struct pt_regs), and {device.name} is"
            f" {machine}, where others are in their place",
            f"compile it for this device, with -D__TARGET_ARCH_{TARGETS[machine]}",
        )


@dataclass(frozen=True)
class _Run:
    """One run on a device that was greeted."""

    device: Device
    job: Job
    file: BpfObject
    data: bytes
    greeting: Greeting
    open_cache: Callable[[], Cache]

    def run(self, root: Root, expectations: Expectations, sink: Callable[[Event], None]) -> Verdict:
        """Push, load, watch, and return the verdict; raises what these do."""
        with Meanwhile(lambda: become(root, self.job.who, f"[ -e {BTF} ] || echo none")) as asked:
            if not self.greeting.has_su:  # then adbd may be restarted, and cut off a push
                asked.result()
            with scratch(self.device, self.greeting.boot_id) as place:
                program, path = self._push(place)
                user, told = asked.result()
                types = self._types(place) if told.strip() == b"none" else None
                with Process(user, place, self._command(user, program, path, types)) as process:
                    listen = Bpftool if self.job.bpftool else loader.Loader
                    source = listen(process.session)
                    watch = Watch(self.job, expectations, source, sink)
                    triggers = Triggers(user, self.job.triggers)
                    watch.follow(triggers)
                    return self._verdict(watch, triggers, source, user)

    def _command(
        self, user: Device | Root, program: str, path: str, types: str | None
    ) -> list[str]:
        """Return what loads the object on the device, in words."""
        if not self.job.bpftool:
            return self.job.words(program, path, types)
        if user.shell("command -v bpftool").status:
            raise UnsupportedError(
                f"{self.device.name} has no bpftool", "leave --loader bpftool out: one is pushed"
            )
        return ["sh", "-c", script("bpftool", path, self.job.dumps)]

    def _push(self, place: str) -> tuple[str, str]:
        """Push loader and object, and return where they are."""
        name = file_name(self.job.object, _OBJECT)
        program, path = f"{place}/loader", f"{place}/{name if name != 'loader' else _OBJECT}"
        self.device.push(loader.build(_ARCH[self.greeting.machine]), program, mode=0o755)
        self.device.push(self.data, path)
        return program, path

    def _types(self, place: str) -> str | None:
        """Push types for a kernel that has none itself, if the object needs them and we have any.

        Its own out of the cache, else such as are made from its headers, 3 s, once.
        """
        from droidheaders.build.btf import kernel_btf
        from droidheaders.kernel.probe import probe
        from droidheaders.preflight.object_file.core import needs_kernel

        if not needs_kernel(self.file):
            return None
        cache = self.open_cache()
        bundle = cache.lookup(probe(self.device).kernel)
        if bundle is None:
            return None  # the loader says that there are none
        types = f"{place}/btf"
        self.device.push(kernel_btf(bundle, cache).path, types)
        return types

    def _verdict(
        self, watch: Watch, triggers: Triggers, source: loader.Loader, user: Device | Root
    ) -> Verdict:
        seen, status = watch.seen, source.status
        if seen.error is not None:
            from droidheaders.run.diagnosis import Case, diagnose

            named = f"{self.greeting.release} on {self.device.name}"
            return diagnose(Case(named, self.file, user, seen, self._judge))
        if watch.silent:
            return Verdict(
                "timeout",
                f"the loader on {self.device.name} went silent"
                f" {'while it ran' if seen.ready else 'before all was attached'}",
                f"look at `{self.device.adb} shell dmesg`, and at what it waits for with ps -A",
            )
        if not seen.ended and not (watch.interrupted and not status):
            return self._killed(status or 0, bytes(source.stderr), user)
        return watch.verdict(triggers.failures)

    def _killed(self, status: int, said: bytes, user: Device | Root) -> Verdict:
        """Return the verdict on a loader that ended without a word."""
        from droidheaders.run import evidence

        name = _SIGNALS.get(status - 128, f"signal {status - 128}")
        how = f"was killed by {name}" if status > 128 else f"ended with status {status}"
        found = evidence.gather(user)
        why = found.killed or (last_line(said) if said.strip() else "")
        because = f": {why}" if why else ""
        return Verdict(
            "infra",
            f"the loader on {self.device.name} {how}{because}",
            f"look at `{self.device.adb} shell dmesg`",
        )

    def _judge(self) -> Report:
        """Return what `check` says of the object; asks the device once or twice."""
        from droidheaders import gathering
        from droidheaders.preflight.object_file import judge

        facts = gathering.of_device(self.device, self.open_cache)
        facts = gathering.with_types(facts, self.device, {"bpf"})
        facts = gathering.with_made_types(facts, self.open_cache())
        return judge(self.data, facts.target)


def _console(device: Device) -> Callable[[], str] | None:
    """Return what reads the console of a device that is a guest of ours, or None."""
    from droidheaders.guest import console, instance

    for one in instance.instances():
        if one.serial == device.serial:
            return lambda: console.read(one.console)
    return None
