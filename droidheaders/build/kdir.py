"""A Kbuild directory for a kernel whose tree nobody has: `make -C KDIR M=DIR`.

    Makefile                  what it is built with unless make is told otherwise, then kernel.mk
    kernel.mk                 the kernel's own top Makefile, of the provider
    arch/ARCH/, include/      links to the bundle's headers, beside the provider's Makefiles
    include/config/           auto.conf, in the style that these Makefiles read, and kernel.release
    scripts/, tools/          links to the provider's, and module.lds
    .config, Module.symvers   what is known of the kernel

The kernel finds its sources where its Makefile lies, so that no header is the provider's.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from droidheaders.build import autoconf, linker_script
from droidheaders.build.paths import is_split
from droidheaders.build.providers import Provider
from droidheaders.cache import Bundle, Cache
from droidheaders.errors import DroidheadersError, HeadersError, UnsupportedError, UsageError
from droidheaders.headers import layout
from droidheaders.ui import printable, ui

_FORMAT = "1"  # counts up when the same inputs make another kdir
_RELEASE = re.compile(r"[\w.+~-]{1,64}", re.ASCII)  # __NEW_UTS_LEN, and what a shell leaves alone
_ARCH = re.compile(r"[a-z0-9_]{1,16}", re.ASCII)  # a machine is what a device says
_OLDEST = (5, 10)  # 596b0474d3d9: scripts/module.lds is preprocessed
# By these Kbuild takes a compiler from the environment; the others its Makefile sets itself.
_FROM_ENVIRONMENT = ("ARCH", "CROSS_COMPILE", "LLVM", "LLVM_IAS", "CLANG_TRIPLE")
_CHOICE = ("CROSS_COMPILE", "LLVM")


@dataclass(frozen=True)
class Recipe:
    """What a kdir is made of, besides the bundle.

    `symvers` is a Module.symvers. `variables` are make's, as `Toolchain.variables`. Without
    `strict` modules are built whose symbols are not all in `symvers`: modpost warns where it would
    fail.
    """

    provider: Provider
    symvers: str
    variables: Mapping[str, str]
    strict: bool = True

    def key(self) -> list[str]:
        """Return what stands for it."""
        variables = [f"{name}={value}" for name, value in sorted(self.variables.items())]
        symvers = hashlib.sha256(self.symvers.encode("utf-8", "surrogateescape")).hexdigest()
        return [_FORMAT, self.provider.key, symvers, *variables, str(self.strict)]


def make(cache: Cache, bundle: Bundle, recipe: Recipe) -> Path:
    """Return the Kbuild directory for the kernel of a bundle, made now unless it is there.

    Raises UsageError for a provider of another version and for a cache whose path make cannot take,
    HeadersError for headers that lack what modules are built by, DroidheadersError for host tools
    that do not run here.
    """
    if is_split(cache.root):
        raise UsageError(
            f"make takes no blank and no colon in a path, and the cache is at {cache.root}",
            "droidheaders --cache-dir DIR kdir, with a DIR that has none",
        )

    def maker(place: Path) -> None:
        Assembly(bundle, recipe, place).make()

    return cache.derived.make(bundle, "kdir", recipe.key(), maker)


class Assembly:
    """A kdir in the making, in the empty directory `place`."""

    def __init__(self, bundle: Bundle, recipe: Recipe, place: Path) -> None:
        self.bundle, self.recipe, self.place = bundle, recipe, place
        self.kernel, self.provider = bundle.kernel, recipe.provider
        self.arch = layout.real_arch(bundle.headers, bundle.meta["arch"])
        self.options = autoconf.options(bundle.path)

    def make(self) -> None:
        """Fill the directory; raises as `make` of this module."""
        self.provider.check(self._number(), str(self.kernel), self.arch)
        self.assemble()

    def assemble(self) -> None:
        """Fill the directory, whether the provider's host tools are there or not."""
        number = self._number()
        self._makefiles()
        self._headers()
        self._configuration(number)
        self._scripts(number)
        symvers = self.recipe.symvers.encode("utf-8", "surrogateescape")
        (self.place / "Module.symvers").write_bytes(symvers)

    def _number(self) -> tuple[int, int]:
        number = self.kernel.number
        if number is None or not _RELEASE.fullmatch(self.kernel.release):
            raise HeadersError(f"{self.kernel} has a release that no modules can be built for")
        if not _ARCH.fullmatch(self.arch):
            raise HeadersError(f"{self.kernel} is of no architecture that is known")
        if number < _OLDEST:
            raise UnsupportedError(
                f"{self.kernel} is older than 5.10, the oldest that a kdir is made for"
            )
        return number

    def _makefiles(self) -> None:
        (self.place / "kernel.mk").symlink_to(self.provider.makefiles / "Makefile")
        (self.place / "Makefile").write_text(makefile(self.recipe.variables, self.recipe.strict))
        arch = self.place / "arch" / self.arch
        arch.mkdir(parents=True)
        for file in (self.provider.makefiles / "arch" / self.arch).glob("Makefile*"):
            (arch / file.name).symlink_to(file)
        (arch / "include").symlink_to(self.bundle.headers / "arch" / self.arch / "include")

    def _headers(self) -> None:
        include = self.place / "include"
        (include / "config").mkdir(parents=True)
        for entry in (self.bundle.headers / "include").iterdir():
            if entry.name != "config":
                (include / entry.name).symlink_to(entry)

    def _configuration(self, number: tuple[int, int]) -> None:
        safe = autoconf.safe(self.options)
        if left := [name for name in self.options if name not in safe]:
            names = ", ".join(printable(name, 64) for name in left[:4])
            ui.say(f"not in the kdir's configuration, for what is in them: {names}", level=1)
        config = self.place / "include/config"
        (self.place / ".config").write_text(autoconf.dot_config(safe))
        (config / "auto.conf").write_text(autoconf.auto_conf(safe, number))
        (config / "kernel.release").write_text(f"{self.kernel.release}\n")
        # Make remakes auto.conf, with Kconfig, where this is not there.
        (config / "auto.conf.cmd").write_text("$(deps_config): ;\n")

    def _scripts(self, number: tuple[int, int]) -> None:
        scripts = self.place / "scripts"
        scripts.mkdir()
        for entry in self.provider.scripts.iterdir():
            if entry.name != "module.lds":
                (scripts / entry.name).symlink_to(entry)
        if self.provider.tools.is_dir():
            (self.place / "tools").symlink_to(self.provider.tools)
        source = self.provider.scripts / "module.lds.S"
        on = frozenset(name for name, value in self.options.items() if value == "y")
        if source.is_file():
            text = source.read_text("utf-8")
        elif number <= linker_script.NEWEST:
            text = linker_script.source(number, on)
        else:
            raise DroidheadersError(
                f"{self.provider.name} has no scripts/module.lds.S, which {self.kernel} links by",
                "give a whole tree: --source TREE",
            )
        (scripts / "module.lds").write_text(self._preprocessed(text))

    def _preprocessed(self, text: str) -> str:
        """Return what the C preprocessor makes of a linker script; DroidheadersError if nothing."""
        cc = compiler(self.recipe.variables)
        words = [*cc, *self._preprocessing(os.path.basename(cc[0])), "-"]
        try:
            done = subprocess.run(
                words, input=text, capture_output=True, text=True, errors="replace", check=False
            )
        except OSError as e:
            raise DroidheadersError(
                f"{cc[0]}, which {self.kernel} is to be built with, cannot be run: {e.strerror}",
                "droidheaders check",
            ) from e
        if done.returncode or "SECTIONS" not in done.stdout:
            ui.say(printable(done.stderr, 4000), level=1)
            raise HeadersError(
                f"the linker script for modules of {self.kernel} cannot be made of its headers",
                "droidheaders -v kdir shows what the compiler says of them",
            )
        return done.stdout

    def _preprocessing(self, name: str) -> list[str]:
        """Return the options of cmd_cpp_lds_S in scripts/Makefile.build, for a compiler `name`."""
        headers = self.bundle.headers
        target = layout.target(self.arch, layout.defined(headers))
        words = ["-E", "-P", "-undef", "-nostdinc", "-x", "assembler-with-cpp"]
        words += [f"--target={target.triple}"] if name.startswith("clang") and target else []
        words += [f"-I{headers / place}" for place in layout.include_order(self.arch)]
        words += ["-include", f"{headers}/include/linux/kconfig.h"]
        return [*words, "-D__KERNEL__", "-D__ASSEMBLY__", "-D__ASSEMBLER__", "-DLINKER_SCRIPT"]


def compiler(variables: Mapping[str, str]) -> list[str]:
    """Return the command by which make runs the compiler that the variables name."""
    if cc := variables.get("CC"):
        return shlex.split(cc)
    llvm = variables.get("LLVM", "")
    if llvm.endswith("/"):
        return [f"{llvm}clang"]
    if llvm:
        return [f"clang{llvm}" if llvm.startswith("-") else "clang"]
    return [f"{variables.get('CROSS_COMPILE', '')}gcc"]


def makefile(variables: Mapping[str, str], strict: bool) -> str:
    """Return the Makefile in front of the kernel's own.

    What Kbuild takes from the environment holds there too; a CC or LD, which it does not, is given
    on make's command line. Who names another toolchain gets that toolchain's compiler.
    """
    lines = ["# Made by droidheaders: what this kernel is built with, and then its own Makefile."]
    given = {name: variables[name] for name in _FROM_ENVIRONMENT if name in variables}
    lines += [f"{name} ?= {_escaped(value)}" for name, value in given.items()]
    named = {name: value for name, value in variables.items() if name not in given}
    if named:
        ours = "|".join(_escaped(variables.get(name, "")) for name in _CHOICE)
        lines.append(f"ifeq ({'|'.join(f'$({name})' for name in _CHOICE)},{ours})")
    for name, value in named.items():
        lines += [
            f"ifneq ($(origin {name}),command line)",
            # Above the assignments in the kernel's Makefile, which have no `override`.
            f"override {name} := {_escaped(value)}",
            "endif",
        ]
    lines += ["endif"] if named else []
    lines += [] if strict else ["export KBUILD_MODPOST_WARN ?= 1"]
    lines += ["include $(dir $(realpath $(lastword $(MAKEFILE_LIST))))kernel.mk", ""]
    return "\n".join(lines)


def _escaped(value: str) -> str:
    return value.replace("$", "$$").replace("#", "\\#")
