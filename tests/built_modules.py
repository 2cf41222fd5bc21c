"""The modules of emulator/modules, built for the kernels of guests by the packaged headers."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from droidheaders.debian.mirror import mirror
from droidheaders.debian.packages import Packages, unpack
from droidheaders.debian.place import cache_dir
from droidheaders.guest import image, kernel, recipes
from droidheaders.guest.host import cross_prefix
from droidheaders.shipped import emulator_dir

SOURCES = emulator_dir() / "modules"
NAMES = sorted(path.parent.name for path in SOURCES.glob("*/Kbuild"))


def headers(name: str, into: Path) -> Path:
    """Unpack the headers packages of a recipe below `into`; return the directory for make -C."""
    recipe = recipes.load(name)
    image.setup(recipe)
    built = kernel.cached(recipe, cache_dir())
    assert built
    packages = Packages(cache_dir(), mirror(), [recipe.suite], recipe.arch)
    _, found = kernel.resolve(packages, recipe)
    unpack(packages.fetch(found), into)
    place = into / "usr/src" / f"linux-headers-{built.release}"
    # The packages expect to be installed, and their Makefile names directories by full path.
    makefile = place / "Makefile"
    text = makefile.read_text().replace("/usr/src/linux-", f"{into}/usr/src/linux-")
    makefile.write_text(text)
    return place


@cache
def built(name: str) -> Path:
    """Return a directory with the modules of SOURCES, built for the kernel of a recipe.

    It is kept beside the images of guests, and made anew when a source or the kernel changes.
    """
    recipe = recipes.load(name)
    image.setup(recipe)
    made_for = kernel.cached(recipe, cache_dir())
    assert made_for
    place = cache_dir() / "test-modules" / f"{recipe.kernel}-{_digest(made_for.version)}"
    if not place.is_dir():
        with kernel.staging(cache_dir()) as stage:
            _make(headers(name, stage / "root"), stage / "build", recipe.arch)
            result = stage / "result"
            result.mkdir()
            for module in (stage / "build").glob("*/*.ko"):
                module.rename(result / module.name)
            kernel.publish(result, place)
    return place


def _digest(version: str) -> str:
    content = hashlib.sha256(version.encode())
    for path in sorted(path for path in SOURCES.rglob("*") if path.is_file()):
        content.update(f"{path.relative_to(SOURCES)}\0".encode() + path.read_bytes())
    return content.hexdigest()[:12]


def _make(headers: Path, work: Path, arch: str) -> None:
    shutil.copytree(SOURCES, work)
    (work / "Kbuild").write_text(f"obj-m := {' '.join(f'{name}/' for name in NAMES)}\n")
    prefix = cross_prefix(arch)
    make = [f"M={work}", f"ARCH={arch}", f"CROSS_COMPILE={prefix}", f"CC={prefix}gcc"]
    subprocess.run(
        ["make", "-s", "-j2", "-C", headers, *make, "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"],
        check=True,
        capture_output=True,
        env={key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
    )
    modules = sorted(work.glob("*/*.ko"))
    subprocess.run([f"{prefix}strip", "--strip-debug", *modules], check=True)
