"""What a distribution built with the kernels of guests: the true answers, and all the modules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from droidheaders.debian.mirror import mirror
from droidheaders.debian.packages import Packages, unpack
from droidheaders.debian.place import cache_dir
from droidheaders.guest import image, kernel, recipes


@dataclass(frozen=True)
class Packaged:
    """A kernel's Module.symvers as its builder has it, its image, and its modules' directory."""

    release: str
    symvers: Path
    image: Path
    modules: Path
    headers: Path


def unpacked(name: str, place: Path, *parts: str) -> kernel.Kernel:
    """Unpack linux-PART-RELEASE of a recipe's kernel below `place`, and return the guest's own."""
    recipe = recipes.load(name)
    image.setup(recipe)
    built = kernel.cached(recipe, cache_dir())
    assert built
    packages = Packages(cache_dir(), mirror(), [recipe.suite], recipe.arch)
    names = [f"linux-{part}-{built.release}" for part in parts]
    unpack(packages.fetch(packages.find(names, recipe.debian_arch)), place)
    return built


def packaged(name: str, place: Path) -> Packaged:
    """Return the packages of a recipe's kernel, unpacked below `place`; `headers` is an archive."""
    built = unpacked(name, place, "headers", "image")
    return Packaged(
        built.release,
        place / f"usr/src/linux-headers-{built.release}/Module.symvers",
        built.image,
        next(path for path in place.glob("**/lib/modules/*") if path.name == built.release),
        built.directory / "kheaders.tar.xz",
    )
