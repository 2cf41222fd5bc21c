"""BPF objects and modules that tests are made of: built once for a kernel, and kept."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from droidheaders import building, equipping
from droidheaders.build import bpf as programs
from droidheaders.build import module, sources
from droidheaders.cache import Bundle, Cache
from droidheaders.errors import DroidheadersError
from droidheaders.loop import inputs
from droidheaders.loop.builds import last_lines, noted
from droidheaders.loop.kept import Kept

_SAID, _LIST = "said", "modules.json"
_DEPENDS = re.compile(r"^deps_\S+ := \\\n((?:.*\\\n)*)", re.M)


class _ForOnceError(Exception):
    """A build that depends on more than its directory; it is done for each test anew."""


def program(cache: Cache, bundle: Bundle, source: Path, log: Path) -> Path:
    """Return the object of a BPF source; what clang said goes to the file `log`.

    Raises what `bpf.Compiler.of` and `bpf.build` raise, and the error of a source that does not
    compile.
    """
    source = source.absolute()
    compiler = programs.Compiler.of(bundle, cache, [source])
    kinds = (sources.KERNEL, sources.USER, sources.CORE)
    libbpf = (cache.kernels / ".libbpf/bpf").resolve()
    key = (
        inputs.of_program(compiler.clang),
        *(word for kind in kinds for word in compiler.words(kind)),
        *inputs.of_files([source, *compiler.includes(source).own, *libbpf.glob("*.h")]),
        *inputs.of_environment(os.environ),
    )

    def maker(place: Path) -> None:
        [built] = programs.build(compiler, programs.outputs([source], place))
        (place / _SAID).write_text(built.said)
        if built.error is not None:
            shutil.copyfile(place / _SAID, log)
            raise noted(built.error, last_lines(log))

    place = cache.derived.make(bundle, "program", key, maker)
    shutil.copyfile(place / _SAID, log)
    [(_, found)] = programs.outputs([source], place)
    return found


def modules(cache: Cache, bundle: Bundle, source: Path, build: Path, log: Path) -> tuple[Path, ...]:
    """Return the modules of a directory, built in the directory `build` if they are not kept yet.

    What make said goes to the file `log`. Raises what `building.build` raises.
    """
    equipment = equipping.equip(cache, bundle, equipping.Wish())
    compiler = equipment.toolchain.compiler
    directory = module.directory(source)
    key = (
        inputs.of_program(compiler.path),
        str(equipment.path),
        *(f"{name}={value}" for name, value in equipment.toolchain.variables.items()),
        *inputs.of_files(module.sources(directory)),
        *inputs.of_environment(os.environ),
    )
    built: tuple[Path, ...] = ()

    def maker(place: Path) -> None:
        nonlocal built
        with Kept(log) as said:
            try:
                built = building.build(
                    cache, bundle, building.Order(source, build), said.line
                ).modules
            except DroidheadersError as e:
                noted(e, last_lines(log))
                raise
        if _needs_more(build, equipment.path, (build, equipment.path, bundle.path, Path("/usr"))):
            raise _ForOnceError
        names = [os.path.relpath(path, build) for path in built]
        for path, name in zip(built, names, strict=True):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / name)
        (place / _LIST).write_text(json.dumps(names))
        shutil.copyfile(log, place / _SAID)

    try:
        place = cache.derived.make(bundle, "module", key, maker)
    except _ForOnceError:
        return built
    shutil.copyfile(place / _SAID, log)
    return tuple(place / name for name in json.loads((place / _LIST).read_text()))


def _needs_more(build: Path, kdir: Path, known: Iterable[Path]) -> bool:
    """Tell whether what Kbuild built has read a file that is in none of the known directories."""
    prefixes = tuple(f"{path}/" for path in known)
    for file in build.rglob(".*.cmd"):
        text = file.read_text("utf-8", "surrogateescape")
        names = (name for found in _DEPENDS.finditer(text) for name in found[1].split())
        if any(not os.path.normpath(kdir / name).startswith(prefixes) for name in names):
            return True
    return False
