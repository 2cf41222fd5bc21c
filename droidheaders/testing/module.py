"""The fixture `kernel_module`: modules built for a device's kernel, and loaded there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from droidheaders import building, collecting
from droidheaders.cache import Bundle, Cache, collected
from droidheaders.errors import DroidheadersError
from droidheaders.inserting import run_module
from droidheaders.pulling import pull
from droidheaders.run.module import ModuleJob
from droidheaders.surviving import guest_of
from droidheaders.testing import ending
from droidheaders.testing.outcome import Outcome, Words, of_run, words

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.run.verdict import Word


class KernelModule:
    """Builds modules and runs them on `device`; relative paths are beside the test's file."""

    def __init__(self, device: Device, place: Path, beside: Path) -> None:
        self.device = device
        self._place = place
        self._beside = beside

    def build(self, directory: str | Path, *arguments: str) -> tuple[Path, ...]:
        """Return the modules (.ko) of a directory with a Kbuild or Makefile, which stays clean.

        They are built for the device's kernel; `arguments` are make's. The test fails with what
        make said where they do not build, and is skipped on a kernel without headers.
        """
        __tracebackhide__ = True
        source, cache = self._beside / directory, Cache.default()
        said: list[str] = []
        try:
            bundle = pull(self.device, cache).bundle
            self._know_symbols(cache, bundle)
            output = self._place / source.resolve().name
            output.mkdir(exist_ok=True)
            order = building.Order(source, output, arguments)
            return building.build(cache, bundle, order, said.append).modules
        except DroidheadersError as error:
            ending.fail(error, said)

    def run(
        self,
        what: str | Path | Sequence[str | Path],
        *,
        params: Words = (),
        expect: Words = (),
        trigger: Words = (),
        seconds: float | None = None,
        verdict: Word = "pass",
    ) -> Outcome:
        """Load modules on the device, a directory or .ko files, watch its log, and unload them.

        All as `droidheaders run module` does: `params` are NAME=VALUE, `expect` patterns that lines
        of the kernel's log have to match, `trigger` commands for the device once they are loaded,
        `seconds` how long they stay. The test fails, or is skipped, unless the verdict is the one
        that is asked for.
        """
        __tracebackhide__ = True
        files: tuple[Path, ...] = ()
        for one in [what] if isinstance(what, (str, Path)) else what:
            path = self._beside / one
            files += self.build(path) if path.is_dir() else (path,)
        job = ModuleJob(
            files,
            parameters=words(params),
            expect=words(expect),
            triggers=words(trigger),
            seconds=seconds,
        )
        return of_run(
            lambda sink: run_module(self.device, job, sink, Cache.default), _lines_of, verdict
        )

    def _know_symbols(self, cache: Cache, bundle: Bundle) -> None:
        """Collect the CRCs of symbols as far as they are to be had; building says what lacks."""
        if "image" in {table.kind for table in collected.tables(cache, bundle)}:
            return
        with suppress(DroidheadersError):
            if guest := guest_of(self.device):
                from droidheaders.guest import image, recipes

                kernel = image.setup(recipes.load(guest.recipe)).kernel
                collecting.keep(cache, bundle, collecting.of_files(bundle, images=[kernel]))
                return
        with suppress(DroidheadersError):
            collecting.pull_tables(self.device, cache, bundle, modules=True, image=True)


def _lines_of(event: Mapping[str, Any]) -> list[str]:
    return [f"[{event['seconds']:12.6f}] {event['text']}"] if event["type"] == "log" else []
