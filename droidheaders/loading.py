"""A BPF object is pushed, loaded and watched on a device, and a verdict given.

The kernel is asked by loading the object: no question beforehand costs less than that, or is
answered as surely. What `check` would say of it is asked when the kernel refuses, to tell what it
lacks from what is wrong with the program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droidheaders.adb.shell import last_line
from droidheaders.errors import UnsupportedError
from droidheaders.kernel.probe import BTF
from droidheaders.objects.bpf import BpfObject
from droidheaders.run import loader
from droidheaders.run.bpf import Watch
from droidheaders.run.bpftool import Bpftool, script
from droidheaders.run.events import Event
from droidheaders.run.expecting import Expectations
from droidheaders.run.greeting import ARCH, Greeting, become
from droidheaders.run.job import Job
from droidheaders.run.meanwhile import Meanwhile
from droidheaders.run.process import Process
from droidheaders.run.scratch import file_name
from droidheaders.run.triggers import Triggers
from droidheaders.run.verdict import Verdict

if TYPE_CHECKING:
    from droidheaders.adb import Device, Root
    from droidheaders.cache import Cache
    from droidheaders.preflight.answer import Report

_OBJECT = "object.o"
_SIGNALS = {6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}


@dataclass(frozen=True)
class Run:
    """One run of an object on a device that was greeted, out of the directory `place` there."""

    device: Device
    job: Job
    file: BpfObject
    data: bytes
    greeting: Greeting
    place: str
    open_cache: Callable[[], Cache]

    def run(self, root: Root, expectations: Expectations, sink: Callable[[Event], None]) -> Verdict:
        """Push, load, watch, and return the verdict; raises what these do."""
        with Meanwhile(lambda: become(root, self.job.who, f"[ -e {BTF} ] || echo none")) as asked:
            if not self.greeting.has_su:  # then adbd may be restarted, and cut off a push
                asked.result()
            program, path = self._push()
            user, told = asked.result()
        types = self._types() if told.strip() == b"none" else None
        with Process(user, self.place, self._command(user, program, path, types)) as process:
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

    def _push(self) -> tuple[str, str]:
        """Push loader and object, and return where they are."""
        name = file_name(self.job.object, _OBJECT)
        program = f"{self.place}/loader"
        path = f"{self.place}/{name if name != 'loader' else _OBJECT}"
        built = loader.build(ARCH[self.greeting.machine])
        self.device.push_all([(built, program, 0o755), (self.data, path, 0o644)])
        return program, path

    def _types(self) -> str | None:
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
        types = f"{self.place}/btf"
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
