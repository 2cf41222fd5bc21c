"""Images: the kernel and initramfs a guest boots, from a recipe or around one's own kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from droidheaders.debian.arch import DEBIAN_ARCH
from droidheaders.debian.mirror import mirror
from droidheaders.debian.packages import Packages, unpack
from droidheaders.debian.place import cache_dir, locked
from droidheaders.errors import UsageError
from droidheaders.guest import chroot, host, initrd, kernel, modules, userland
from droidheaders.guest.recipes import Recipe
from droidheaders.ui import ui

USERLAND_SUITE = "bookworm"
ADBD_SUITE = "bookworm-backports"
"""adbd is in no older suite; of what it is linked to, Android's own libraries must match it."""


@dataclass(frozen=True)
class Image:
    """What QEMU is given: a kernel, and the parts of its initramfs in their order."""

    arch: str
    release: str
    kernel: Path
    parts: tuple[Path, ...]


def cached(recipe: Recipe) -> Image | None:
    """Return the image of `recipe` when nothing has to be fetched or built for it."""
    built = kernel.cached(recipe, cache_dir())
    parts = [_userland_place(recipe.arch)]
    if recipe.debian:
        parts.append(chroot.place(recipe))
    there = built and all(part.is_file() for part in parts)
    return _image(built, *parts) if built and there else None


def setup(recipe: Recipe, asked_mirror: str | None = None, *, update: bool = False) -> Image:
    """Return the image of `recipe`, fetching and building what is missing.

    Without `update` a kernel that is there stays, and then nothing touches the network. Raises
    DroidheadersError when the host lacks tools, or packages cannot be had.
    """
    done = cached(recipe)
    if done and not update:
        return done
    host.require(host.builders(recipe.arch))
    with locked():
        place = _userland(recipe.arch, asked_mirror)
        built = None if update else kernel.cached(recipe, cache_dir())
        if built is None:
            ui.say(f"{recipe.name}: fetching and building the newest kernel of {recipe.suite}")
            built = kernel.build(recipe, cache_dir(), mirror(asked_mirror))
        return _image(built, place, *_debian(recipe, asked_mirror))


def custom(
    image: Path,
    recipe: Recipe,
    into: Path,
    *,
    modules_dir: Path | None = None,
    extra: Path | None = None,
    asked_mirror: str | None = None,
) -> Image:
    """Return an image around one's own kernel, with the userland for `recipe`'s architecture.

    Without `modules_dir` everything needed is taken for built in. What is written goes to `into`.
    Raises UsageError for a path that is not there.
    """
    for path, is_right, what in (
        (image, image.is_file(), "kernel image"),
        (modules_dir, modules_dir is None or modules_dir.is_dir(), "directory of modules"),
        (extra, extra is None or extra.is_dir(), "directory for the initramfs"),
    ):
        if not is_right:
            raise UsageError(f"there is no {what} {path}", hint=f"ls {path and path.parent}")
    host.require(host.builders(recipe.arch))
    with locked():
        place = _userland(recipe.arch, asked_mirror)
    boot = modules.with_dependencies(modules_dir, kernel.BOOT_MODULES) if modules_dir else []
    part = into / "custom.cpio"
    with part.open("wb") as out:
        initrd.custom_part(out, boot, modules_dir, extra)
    release = modules_dir.resolve().name if modules_dir else ""
    return Image(recipe.arch, release, image.resolve(), (place, part))


def _image(built: kernel.Kernel, userland: Path, *more: Path) -> Image:
    return Image(built.arch, built.release, built.image, (userland, built.initrd, *more))


def _debian(recipe: Recipe, asked_mirror: str | None) -> list[Path]:
    """Return the part with the recipe's own packages, built if it is not there, or nothing."""
    if not recipe.debian:
        return []
    part = chroot.place(recipe)
    return [part if part.is_file() else chroot.build(recipe, mirror(asked_mirror))]


def _userland_place(arch: str) -> Path:
    return cache_dir() / "userland" / f"{arch}-{userland.fingerprint(arch)[:16]}.cpio"


def _userland(arch: str, asked_mirror: str | None) -> Path:
    """Return the userland for `arch`, built from packages that stay unpacked in the cache."""
    place = _userland_place(arch)
    if place.is_file():
        return place
    root = cache_dir() / "userland" / f"{arch}-packages"
    stamp = root / ".packages"
    wanted = " ".join(userland.USERLAND_PACKAGES)
    with kernel.staging(cache_dir()) as stage:
        if not stamp.is_file() or stamp.read_text() != wanted:
            ui.say(f"fetching the {arch} userland")
            _fetch_userland(arch, mirror(asked_mirror), stage / "root")
            (stage / "root/.packages").write_text(wanted)
            kernel.publish(stage / "root", root)
        ui.say(f"building the {arch} userland")
        userland.build(arch, root, stage / place.name)
        for old in place.parent.glob(f"{arch}-*.cpio"):
            old.unlink()
        (stage / place.name).rename(place)
    return place


def _fetch_userland(arch: str, url: str, into: Path) -> None:
    debian = DEBIAN_ARCH[arch]
    files = []
    for suite in (USERLAND_SUITE, ADBD_SUITE):
        packages = Packages(cache_dir(), url, [suite], arch)
        packages.update()
        names = [name for name in userland.USERLAND_PACKAGES if _suite(name) == suite]
        files += packages.fetch(packages.find(names, debian))
    unpack(files, into)


def _suite(name: str) -> str:
    return ADBD_SUITE if name.startswith(("adbd", "android-")) else USERLAND_SUITE
