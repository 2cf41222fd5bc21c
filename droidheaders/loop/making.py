"""What a test is made of: headers, and what is built for the kernel of its site."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

from droidheaders import collecting, environment
from droidheaders.cache import Bundle, Cache
from droidheaders.errors import DroidheadersError
from droidheaders.loop import compiled
from droidheaders.loop.builds import Builds
from droidheaders.loop.plan import Test
from droidheaders.loop.sites import Site
from droidheaders.pulling import pull
from droidheaders.ui import printable

T = TypeVar("T")


class Timed(Protocol):
    """Runs a part of an attempt, and notes how long it took."""

    def __call__(self, what: str, action: Callable[[], T]) -> T:
        """Return what `action` returns."""


@dataclass
class Making:
    """Makes it when it is asked for; what builds say goes to a file in `place`.

    All of it raises DroidheadersError where it cannot be had.
    """

    test: Test
    site: Site
    place: Path
    cache: Cache
    builds: Builds
    time: Timed

    def object(self) -> Path:
        """Return the BPF object: compiled, where the test names a source."""
        source = self.file()
        if source.suffix != ".c":
            return source
        bundle, log = self._bundle, log_of(self.place)
        return self.time("build", lambda: compiled.program(self.cache, bundle, source, log))

    def modules(self) -> tuple[Path, ...]:
        """Return the modules, those that the test has more before its own."""
        source = self.file()
        more = tuple(self._there(path) for path in self.test.more)
        if not source.is_dir():
            return (*more, source)
        bundle, log, build = self._with_symbols, log_of(self.place), self.place / "module"
        return (
            *more,
            *self.time("build", lambda: compiled.modules(self.cache, bundle, source, build, log)),
        )

    def file(self) -> Path:
        """Return what the test names, as it is."""
        assert self.test.source is not None
        return self._there(self.test.source)

    def variables(self) -> dict[str, str]:
        """Return what a command finds the device, the headers of its kernel and a build by."""
        device = self.site.device
        at = device.server.endpoint
        found = {
            "DROIDHEADERS_SERIAL": device.serial,
            "ANDROID_SERIAL": device.serial,
            "ANDROID_ADB_SERVER_ADDRESS": at.host,
            "ANDROID_ADB_SERVER_PORT": str(at.port),
        }
        if self.test.build:
            found["OUT"] = str(self._out)
        with suppress(DroidheadersError):  # a test may well do without headers
            found |= environment.of_bundle(self.cache, self._with_symbols).exported
        return found

    @cached_property
    def _out(self) -> Path:
        """What the build that the test needs has left; without one, where paths are from."""
        build, bundle = self.test.build, None
        if build is None:
            return Path()
        variables = dict(os.environ)
        if build.for_kernel:
            bundle = self._with_symbols
            variables |= environment.of_bundle(self.cache, bundle).exported
        log = log_of(self.place)
        return self.time("build", lambda: self.builds.step(build, bundle, variables, log))

    def _there(self, path: Path) -> Path:
        """Return a file of the spec, or of what a build has left."""
        if self.test.build is None or (self._out / path).exists():
            return self._out / path
        name, shown = printable(self.test.build.name), printable(str(path), 500)
        raise DroidheadersError(f"build {name} has left no {shown} in $OUT", "see build.log")

    @cached_property
    def _bundle(self) -> Bundle:
        return self.time("headers", lambda: pull(self.site.device, self.cache)).bundle

    @cached_property
    def _with_symbols(self) -> Bundle:
        """Return the bundle, with the CRCs of symbols as far as they are to be had."""
        bundle, device, image = self._bundle, self.site.device, self.site.kernel

        def collect() -> None:
            if image:
                collecting.know_image(self.cache, bundle, image)
                return
            with suppress(DroidheadersError):  # building says what is missing then
                collecting.pull_tables(device, self.cache, bundle, modules=True, image=True)

        self.time("symvers", collect)
        return bundle


def log_of(place: Path) -> Path:
    """Return the file in an attempt's directory that has what builds said."""
    return place / "build.log"
