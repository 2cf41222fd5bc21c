"""Recipes: one file for each kernel and architecture that a guest can be made of."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from droidheaders.debian.arch import DEBIAN_ARCH
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.shipped import emulator_dir

DEFAULT = "6.1-arm64"

_NAME = re.compile(r"(?P<series>\d+\.\d+)-(?P<arch>arm64|x86_64)")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_KEYS = {
    "suite": "the Debian suite that has the kernel",
    "image": "the meta package that depends on the newest kernel",
    "headers": "the meta package that depends on its headers",
    "source": "the package with kernel/kheaders.c and kernel/configs.c",
    "source_suite": "the suite that has `source`",
}


@dataclass(frozen=True)
class Recipe:
    """Which packages a kernel comes from; versions are apt's business."""

    name: str
    series: str
    arch: str
    about: str
    suite: str
    image: str
    headers: str
    source: str
    source_suite: str

    @property
    def debian_arch(self) -> str:
        """What Debian calls the architecture."""
        return DEBIAN_ARCH[self.arch]


def parse(name: str, text: str) -> Recipe:
    """Return the recipe `name` written in `text`; raises DroidheadersError saying what is wrong."""
    match = _NAME.fullmatch(name)
    if not match:
        raise DroidheadersError(f"a recipe is named <series>-<arm64|x86_64>, and not {name}")
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DroidheadersError(f"the recipe {name} is not TOML: {error}") from error
    if unknown := sorted(set(table) - set(_KEYS) - {"about"}):
        raise DroidheadersError(f"the recipe {name} has unknown keys: {', '.join(unknown)}")
    for key, meaning in _KEYS.items():
        value = table.get(key)
        if not isinstance(value, str) or not _PACKAGE.fullmatch(value):
            raise DroidheadersError(f"the recipe {name} needs `{key}`: {meaning}")
    return Recipe(
        name=name,
        series=match["series"],
        arch=match["arch"],
        about=str(table.get("about", "")),
        **{key: table[key] for key in _KEYS},
    )


def names(directory: Path | None = None) -> list[str]:
    """Return the names of all recipes, oldest kernel first."""
    where = directory or emulator_dir() / "recipes"
    found = [path.stem for path in where.glob("*.toml")]
    return sorted(found, key=lambda name: [(len(n), n) for n in re.split(r"[.-]", name)])


def load(name: str, directory: Path | None = None) -> Recipe:
    """Return the recipe `name`; raises UsageError naming those there are when there is none."""
    known = names(directory)
    if name not in known:
        raise UsageError(
            f"there is no recipe {name!r}; there are {', '.join(known)}",
            hint="droidheaders emulator list",
        )
    path = (directory or emulator_dir() / "recipes") / f"{name}.toml"
    return parse(name, path.read_text(encoding="utf-8"))
