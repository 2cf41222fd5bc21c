"""Debian below /debian in a guest: packages, and the command `debian` that runs what is in them.

Another part of the initramfs rather than a disk: it needs no driver and no file system of a kernel.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from droidheaders.debian.packages import Packages, unpack
from droidheaders.debian.place import cache_dir
from droidheaders.guest import initrd, kernel
from droidheaders.guest.recipes import Recipe
from droidheaders.shipped import emulator_dir
from droidheaders.ui import ui

SUITE = "bookworm"

# What nobody reads in a guest.
_LEFT_OUT = ("doc", "ieee-data", "info", "lintian", "locale", "man")


def place(recipe: Recipe) -> Path:
    """Return where the part for `recipe` is once it was built."""
    key = hashlib.sha256(repr((SUITE, recipe.debian, _LEFT_OUT)).encode())
    key.update(_command().read_bytes())
    key.update(Path(__file__).read_bytes())
    name = f"{recipe.arch}-{recipe.debian[0]}-{key.hexdigest()[:16]}.cpio"
    return cache_dir() / "debian" / name


def build(recipe: Recipe, mirror: str) -> Path:
    """Fetch the packages of `recipe`, make them a part of the initramfs, and return it.

    The caller holds the cache's lock. Raises DroidheadersError when packages cannot be had.
    """
    part = place(recipe)
    ui.say(f"{recipe.name}: fetching {recipe.debian[0]} and what it needs")
    packages = Packages(cache_dir(), mirror, [SUITE], recipe.arch)
    packages.update()
    files = packages.fetch(packages.closure(recipe.debian, recipe.debian_arch))
    with kernel.staging(cache_dir()) as stage:
        unpack(files, stage / "root")
        for name in _LEFT_OUT:
            shutil.rmtree(stage / "root/usr/share" / name, ignore_errors=True)
        with (stage / part.name).open("wb") as out:
            initrd.chroot_part(out, stage / "root", _command())
        part.parent.mkdir(exist_ok=True)
        for old in part.parent.glob(f"{recipe.arch}-{recipe.debian[0]}-*.cpio"):
            old.unlink()
        (stage / part.name).rename(part)
    return part


def _command() -> Path:
    return emulator_dir() / "chroot/debian"
