"""The fixture `bpf`: programs built for the kernel of a test's device, loaded there and watched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from droidheaders.build import bpf as programs
from droidheaders.cache import Cache
from droidheaders.errors import DroidheadersError
from droidheaders.pulling import pull
from droidheaders.run.job import Job
from droidheaders.run.observing import lines_of
from droidheaders.running import run_bpf
from droidheaders.testing import ending
from droidheaders.testing.outcome import DEFAULT_TIME, Outcome, Words, of_run, words

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.run.verdict import Word


class Bpf:
    """Builds and runs BPF programs on `device`; relative paths are beside the test's file."""

    def __init__(self, device: Device, place: Path, beside: Path) -> None:
        self.device = device
        self._place = place
        self._beside = beside

    def build(self, source: str | Path, *arguments: str) -> Path:
        """Return the object of a program in C, built for the device's kernel.

        `arguments` are clang's. The test fails with what clang said where it does not compile, and
        is skipped on a kernel without headers.
        """
        __tracebackhide__ = True
        file, cache = self._beside / source, Cache.default()
        try:
            bundle = pull(self.device, cache).bundle
            compiler = programs.Compiler.of(bundle, cache, [file], arguments)
            [built] = programs.build(compiler, programs.outputs([file], self._place))
        except DroidheadersError as error:
            ending.fail(error)
        if built.error:
            ending.fail(built.error, built.said.splitlines())
        return built.output

    def run(
        self,
        program: str | Path,
        *,
        expect: Words = (),
        trigger: Words = (),
        seconds: float | None = None,
        variables: Words = (),
        dumps: Words = (),
        user: Literal["root", "shell"] | None = None,
        verdict: Word = "pass",
    ) -> Outcome:
        """Load a program on the device, a source (.c) or an object, watch it, and unload it.

        All as `droidheaders run bpf` does: `expect` are patterns that lines of output have to
        match, `trigger` commands for the device once it is attached, `seconds` how long it is
        watched (else until all that is expected came, 10 seconds at most; a second where nothing
        is), `variables` VAR=VALUE, `dumps` maps that are shown at the end. The test fails, or is
        skipped, unless the verdict is the one that is asked for.
        """
        __tracebackhide__ = True
        path = self._beside / program
        if path.suffix == ".c":
            path = self.build(path)
        job = Job(
            path,
            variables=words(variables),
            dumps=words(dumps),
            triggers=words(trigger),
            expect=words(expect),
            seconds=seconds or (None if expect else DEFAULT_TIME),
            who=user,
        )
        return of_run(
            lambda sink: run_bpf(self.device, job, sink, Cache.default),
            lambda event: [*lines_of(event)],
            verdict,
        )
