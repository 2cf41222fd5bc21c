"""What the steps of a spec build: once for the same inputs, and kept in the cache."""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from droidheaders.cache import Bundle, Cache
from droidheaders.errors import DroidheadersError
from droidheaders.loop import hosting, inputs
from droidheaders.loop.kept import Kept
from droidheaders.loop.plan import Build
from droidheaders.ui import printable

E = TypeVar("E", bound=DroidheadersError)

_OUT, _SAID = "out", "said"
_TOLD = 20  # lines of a failed build that its verdict has


class Builds:
    """Runs steps in `directory`, for several threads. Where `stopped` is set, what runs ends soon.

    A step that fails is not tried again while this object lives and its inputs stay.
    """

    def __init__(self, cache: Cache, directory: Path, stopped: threading.Event) -> None:
        self._cache, self._directory, self._stopped = cache, directory, stopped
        self._failed: dict[tuple[str, ...], tuple[str, list[str]]] = {}

    def step(
        self, build: Build, bundle: Bundle | None, variables: Mapping[str, str], log: Path
    ) -> Path:
        """Return the directory of what the step has left in $OUT.

        `bundle` is the kernel's that it is for, `variables` its environment. What it said goes to
        the file `log`. Raises DroidheadersError where it fails, with its last lines as notes.
        """
        files = inputs.of_files(inputs.matching(self._directory, build.inputs))
        key = (build.run, str(self._directory), *files, *inputs.of_environment(variables))

        def maker(place: Path) -> None:
            if key not in self._failed:
                self._run(build, variables, place, key)
            if key in self._failed:
                message, said = self._failed[key]
                log.write_text("".join(f"{line}\n" for line in said))
                raise noted(
                    DroidheadersError(message, "run it by hand, or look at build.log"), said
                )

        place = self._cache.derived.make(bundle, "step", key, maker)
        shutil.copyfile(place / _SAID, log)
        return place / _OUT

    def _run(
        self, build: Build, variables: Mapping[str, str], place: Path, key: tuple[str, ...]
    ) -> None:
        """Fill `place`, or note why it failed; raises where the loop is stopped."""
        out = place / _OUT
        out.mkdir()
        with Kept(place / _SAID) as said:
            status = hosting.run(
                build.run,
                self._directory,
                {**variables, "OUT": str(out)},
                lambda piece: said.write(piece.data),
                seconds=build.timeout,
                stopped=self._stopped,
            )
        name = f"build {printable(build.name)}"
        if status is None and self._stopped.is_set():
            raise DroidheadersError(f"{name} was interrupted", "run it again")
        if status != 0:
            why = f"still ran after {build.timeout:g} seconds"
            if status is not None:
                why = f"ended with status {status}"
            self._failed[key] = (f"{name} {why}", last_lines(place / _SAID))


def last_lines(path: Path) -> list[str]:
    """Return the end of what a build said; nothing where there is no such file."""
    try:
        with path.open(errors="replace") as file:
            return [printable(line.rstrip("\n"), 500) for line in deque(file, _TOLD)]
    except FileNotFoundError:
        return []


def noted(error: E, lines: list[str]) -> E:
    """Return the error with lines that belong to it as notes."""
    for line in lines:
        error.add_note(line)
    return error
