"""The modules of emulator/modules, built for the kernels of guests as anybody would build them.

By a kdir of droidheaders' own, with the symbols of the kernel's image: what is loaded into guests
is what comes of that.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from functools import cache
from pathlib import Path

import droidheaders
from droidheaders import building, collecting
from droidheaders.build import kdir
from droidheaders.cache import Cache
from droidheaders.debian.place import cache_dir
from droidheaders.guest import image, kernel, recipes
from droidheaders.importing import import_file
from droidheaders.shipped import emulator_dir

SOURCES = emulator_dir() / "modules"
NAMES = sorted(path.parent.name for path in SOURCES.glob("*/Kbuild"))
_HOUSE = Path(droidheaders.__file__).parent
_BUILDERS = ("build", "kernel", "objects", "building.py", "equipping.py", "collecting.py")


@cache
def built(name: str) -> Path:
    """Return a directory with the modules of SOURCES, built for the kernel of a recipe.

    It is kept beside the images of guests, and made anew when a source, the kernel or what builds
    them changes.
    """
    recipe = recipes.load(name)
    image.setup(recipe)
    made_for = kernel.cached(recipe, cache_dir())
    assert made_for
    place = cache_dir() / "test-modules" / f"{recipe.kernel}-{_digest(made_for.version)}"
    if not place.is_dir():
        with kernel.staging(cache_dir()) as stage:
            result = stage / "result"
            result.mkdir()
            for module in _make(made_for, stage):
                module.rename(result / module.name)
            kernel.publish(result, place)
    return place


def _digest(version: str) -> str:
    content = hashlib.sha256(version.encode())
    files = [path for path in SOURCES.rglob("*") if path.is_file()]
    for builder in _BUILDERS:
        files += (_HOUSE / builder).rglob("*.py") if "." not in builder else [_HOUSE / builder]
    for path in sorted(files):
        content.update(f"{path.name}\0".encode() + path.read_bytes())
    return content.hexdigest()[:12]


def _make(made_for: kernel.Kernel, stage: Path) -> tuple[Path, ...]:
    cache = Cache(stage / "cache")
    bundle = import_file(made_for.directory / "kheaders.tar.xz", cache).bundle
    collecting.keep(cache, bundle, collecting.of_files(bundle, images=[made_for.image]))
    shutil.copytree(SOURCES, stage / "build")
    (stage / "build/Kbuild").write_text(f"obj-m := {' '.join(f'{name}/' for name in NAMES)}\n")
    said: list[str] = []
    try:
        made = building.build(cache, bundle, building.Order(stage / "build"), said.append)
    except droidheaders.DroidheadersError as e:
        raise AssertionError("\n".join([*said, str(e)])) from e
    [compiler, *_] = kdir.compiler(made.equipment.toolchain.variables)
    strip = f"{compiler.rpartition('gcc')[0]}strip"
    subprocess.run([strip, "--strip-debug", *made.modules], check=True)
    return made.modules
