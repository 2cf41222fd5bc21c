"""Recipes: one file for each kernel and architecture that a guest can be made of."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from droidheaders.debian.arch import DEBIAN_ARCH
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.shipped import emulator_dir

DEFAULT = "6.1-arm64"

_NAME = re.compile(
    r"(?P<kernel>(?P<series>\d+\.\d+)-(?P<arch>arm64|x86_64))(-(?P<variant>[a-z0-9]+))?"
)
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_KEYS = {
    "suite": "the Debian suite that has the kernel",
    "image": "the meta package that depends on the newest kernel",
    "headers": "the meta package that depends on its headers",
    "source": "the package with kernel/kheaders.c and kernel/configs.c",
    "source_suite": "the suite that has `source`",
}
_VARIANT_KEYS = {"about", "debian", "memory", "cmdline"}
# Of the kernel's command line: no quotes, and nothing that QEMU or init would take for its own.
_ARGUMENTS = re.compile(r"[\w.-]+(=[\w.,:/-]*)?( [\w.-]+(=[\w.,:/-]*)?)*", re.ASCII)
_MEMORY = 512  # MB; a guest uses about 150 of them
_LARGEST = 65536  # MB


@dataclass(frozen=True)
class Recipe:
    """Which packages a kernel comes from; versions are apt's business.

    A variant has the kernel of another recipe, named by `kernel`, and below /debian in the guest
    the packages `debian` with all they depend on, or other words on the kernel's command line,
    `cmdline`. `memory` is in MB.
    """

    name: str
    kernel: str
    series: str
    arch: str
    about: str
    suite: str
    image: str
    headers: str
    source: str
    source_suite: str
    debian: tuple[str, ...] = ()
    memory: int = _MEMORY
    cmdline: str = ""

    @property
    def debian_arch(self) -> str:
        """What Debian calls the architecture."""
        return DEBIAN_ARCH[self.arch]


def parse(name: str, text: str) -> Recipe:
    """Return the recipe `name` written in `text`; raises DroidheadersError saying what is wrong."""
    match = _NAME.fullmatch(name)
    if not match or match["variant"]:
        raise DroidheadersError(f"a recipe is named <series>-<arm64|x86_64>, and not {name}")
    table = _table(name, text, {*_KEYS, "about"})
    for key, meaning in _KEYS.items():
        value = table.get(key)
        if not isinstance(value, str) or not _PACKAGE.fullmatch(value):
            raise DroidheadersError(f"the recipe {name} needs `{key}`: {meaning}")
    return Recipe(
        name=name,
        kernel=name,
        series=match["series"],
        arch=match["arch"],
        about=str(table.get("about", "")),
        **{key: table[key] for key in _KEYS},
    )


def parse_variant(name: str, text: str, base: Recipe) -> Recipe:
    """Return the variant `name` of the recipe `base`; raises as `parse` does."""
    table = _table(name, text, _VARIANT_KEYS)
    debian, memory = table.get("debian"), table.get("memory", _MEMORY)
    cmdline = table.get("cmdline", "")
    if "cmdline" in table and not (isinstance(cmdline, str) and _ARGUMENTS.fullmatch(cmdline)):
        raise DroidheadersError(f"`cmdline` of the recipe {name} is not NAME=VALUE ...")
    debian = [] if debian is None and cmdline else debian
    if not isinstance(debian, list) or not (debian or cmdline) or not all(map(_is_package, debian)):
        raise DroidheadersError(
            f"the recipe {name} needs `debian`, a list of packages, or `cmdline`"
        )
    if type(memory) is not int or not _MEMORY <= memory <= _LARGEST:
        raise DroidheadersError(f"`memory` of the recipe {name} is not {_MEMORY} MB or more")
    about = str(table.get("about", ""))
    return replace(
        base, name=name, about=about, debian=tuple(debian), memory=memory, cmdline=cmdline
    )


def _is_package(value: object) -> bool:
    return isinstance(value, str) and _PACKAGE.fullmatch(value) is not None


def _table(name: str, text: str, known: set[str]) -> dict[str, Any]:
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DroidheadersError(f"the recipe {name} is not TOML: {error}") from error
    if unknown := sorted(set(table) - known):
        raise DroidheadersError(f"the recipe {name} has unknown keys: {', '.join(unknown)}")
    return table


def names(directory: Path | None = None) -> list[str]:
    """Return the names of all recipes and variants, oldest kernel first."""
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
    text = path.read_text(encoding="utf-8")
    match = _NAME.fullmatch(name)
    if match and match["variant"]:
        return parse_variant(name, text, load(match["kernel"], directory))
    return parse(name, text)
