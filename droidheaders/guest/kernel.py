"""A packaged kernel made into what a guest boots: image, boot modules, kheaders and IKCONFIG."""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from droidheaders.debian.arch import DEBIAN_ARCH, host_arch
from droidheaders.debian.packages import Package, Packages, unpack
from droidheaders.errors import DroidheadersError
from droidheaders.guest import kheaders, modules
from droidheaders.guest.initrd import kernel_part
from droidheaders.guest.recipes import Recipe
from droidheaders.ui import ui

BOOT_MODULES = ("virtio_pci", "virtio_net")
"""What the network needs; everything below them follows from the modules themselves."""

FORMAT = 2
"""Counts up when what is built from the same packages changes."""

# Since 7.x an image is split: linux-binary-* has it, linux-base-<release> the configuration.
_KERNEL_PACKAGE = re.compile(r"linux-((image|binary|modules|headers)-|base-\d)")


@dataclass(frozen=True)
class Kernel:
    """What a recipe was built into; paths are in the cache."""

    recipe: str
    arch: str
    release: str
    version: str
    directory: Path

    @property
    def image(self) -> Path:
        """The kernel that QEMU loads."""
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """The kernel's part of the initramfs."""
        return self.directory / "kernel.cpio"


def cached(recipe: Recipe, cache: Path) -> Kernel | None:
    """Return the kernel of `recipe` when it was built before."""
    directory = cache / "kernels" / recipe.kernel
    try:
        facts = json.loads((directory / "kernel.json").read_text())
    except (OSError, ValueError):
        return None
    if facts.pop("format", None) != FORMAT:
        return None
    return Kernel(**facts, directory=directory)


def build(recipe: Recipe, cache: Path, mirror: str) -> Kernel:
    """Return the newest kernel of `recipe`: fetched, built, and put into the cache.

    The caller holds the cache's lock. Raises DroidheadersError.
    """
    packages = Packages(cache, mirror, [recipe.suite], recipe.arch)
    packages.update()
    image, headers = resolve(packages, recipe)
    old = cached(recipe, cache)
    if old and old.version == image[0].version:
        return old
    sources = fetch_sources(recipe, cache, mirror)
    with staging(cache) as stage:
        root = stage / "root"
        unpack(packages.fetch([*image, *headers]), root)
        result = stage / "result"
        result.mkdir()
        release = _assemble(recipe, root, sources, result)
        kernel = Kernel(
            recipe=recipe.kernel,
            arch=recipe.arch,
            release=release,
            version=image[0].version,
            directory=cache / "kernels" / recipe.kernel,
        )
        facts = asdict(kernel) | {"format": FORMAT}
        del facts["directory"]
        (result / "kernel.json").write_text(json.dumps(facts, indent=2) + "\n")
        publish(result, kernel.directory)
    return kernel


def resolve(packages: Packages, recipe: Recipe) -> tuple[list[Package], list[Package]]:
    """Return the packages of the kernel and of its headers, with the host's build tools."""
    host = DEBIAN_ARCH[host_arch()]
    return (
        _follow(packages, recipe.image, recipe.debian_arch, host),
        _follow(packages, recipe.headers, recipe.debian_arch, host),
    )


def _follow(packages: Packages, name: str, arch: str, host: str) -> list[Package]:
    """Return what a meta package stands for: its dependencies that are parts of the kernel."""
    found: dict[str, Package] = {}
    todo = packages.find([name], arch)
    while todo:
        names = dict.fromkeys(name for package in todo for name in package.depends)
        parts = [name for name in names if _KERNEL_PACKAGE.match(name) and name not in found]
        todo = packages.find(parts, arch)
        found |= zip(parts, todo, strict=True)
        tools = [name for name in names if name.startswith("linux-kbuild-")]
        found |= zip(tools, packages.find(tools, host), strict=True)
    return list(found.values())


@dataclass(frozen=True)
class _Unpacked:
    """Where things are in a kernel's packages, which have changed their layout over time."""

    release: str
    headers: Path
    common: Path
    library: Path
    image: Path
    config: Path


def _explore(recipe: Recipe, root: Path) -> _Unpacked:
    headers = _one([*root.glob("usr/src/linux-headers-*[!n]")], recipe, "headers")
    release = headers.name.removeprefix("linux-headers-")
    libraries = [path for path in root.glob("**/lib/modules/*") if path.name == release]
    library = _one(libraries, recipe, "modules")

    def either(name: str) -> Path:
        places = (root / f"boot/{name}-{release}", library / name)
        return _one([path for path in places if path.is_file()], recipe, name)

    return _Unpacked(
        release=release,
        headers=headers,
        common=_one([*root.glob("usr/src/linux-headers-*-common")], recipe, "common headers"),
        library=library,
        image=either("vmlinuz"),
        config=either("config"),
    )


def _assemble(recipe: Recipe, root: Path, sources: Path, result: Path) -> str:
    """Build what a guest boots from unpacked packages; return the kernel's release."""
    parts = _explore(recipe, root)
    makefile = parts.headers / "Makefile"
    mtime = int(makefile.stat().st_mtime)  # the date of the package's changelog
    # The packages expect to be installed, and their Makefile names directories by full path.
    text = makefile.read_text().replace("/usr/src/linux-", f"{root}/usr/src/linux-")
    makefile.write_text(text)
    ui.say(f"{recipe.name}: packing the headers of {parts.release}")
    kheaders.merge(parts.headers, parts.common, recipe.arch, result.parent / "tree")
    archive = result / "kheaders.tar.xz"
    kheaders.pack(result.parent / "tree", archive, mtime)
    ui.say(f"{recipe.name}: building kheaders.ko and configs.ko")
    built = kheaders.build(
        parts.headers,
        result.parent / "build",
        archive=archive,
        config=parts.config.read_bytes(),
        sources=sources,
        arch=recipe.arch,
    )
    for module in built:
        if (made_for := kheaders.vermagic(module)) != parts.release:
            raise DroidheadersError(
                f"{module.name} was built for {made_for} and not for {parts.release}."
            )
    boot = modules.with_dependencies(parts.library, BOOT_MODULES)
    with (result / "kernel.cpio").open("wb") as out:
        kernel_part(out, parts.release, [*boot, built[1]], built[0])
    shutil.copyfile(parts.image, result / "vmlinuz")
    shutil.copyfile(parts.config, result / "config")
    return parts.release


def _one(found: list[Path], recipe: Recipe, what: str) -> Path:
    if len(found) != 1:
        raise DroidheadersError(
            f"the packages of {recipe.name} hold {len(found)} x {what}: not one"
        )
    return found[0]


def fetch_sources(recipe: Recipe, cache: Path, mirror: str) -> Path:
    """Return a directory with kernel/kheaders.c and kernel/configs.c.

    The package is large and two files of it are wanted: once they are out, it goes.
    """
    place = cache / "sources" / recipe.source
    if all((place / name).is_file() for name in kheaders.SOURCES):
        return place
    packages = Packages(cache, mirror, [recipe.source_suite], recipe.arch)
    packages.update()
    [file] = packages.fetch(packages.find([recipe.source], DEBIAN_ARCH[host_arch()]))
    with staging(cache) as stage:
        unpack([file], stage)
        tarball = _one([*stage.glob("usr/src/linux-source-*.tar.xz")], recipe, "source")
        with tarfile.open(tarball, "r|xz") as tar:
            _extract(tar, stage / "result")
        publish(stage / "result", place)
    file.unlink()
    return place


def _extract(tar: tarfile.TarFile, into: Path) -> None:
    """Write SOURCES out of a source tree, and stop reading when all are found."""
    missing = set(kheaders.SOURCES)
    for entry in tar:
        name = entry.name.partition("/")[2]
        if name in missing and (data := tar.extractfile(entry)):
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_bytes(data.read())
            missing.remove(name)
            if not missing:
                return
    raise DroidheadersError(f"the kernel source has no {', '.join(sorted(missing))}")


@contextmanager
def staging(cache: Path) -> Iterator[Path]:
    """Yield a directory beside the cache's entries, and remove it however the block ends."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="staging-") as name:
        yield Path(name)


def publish(result: Path, place: Path) -> None:
    """Move `result` to `place`, instead of what may be there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        os.rename(place, result.parent / "replaced")
    os.rename(result, place)
