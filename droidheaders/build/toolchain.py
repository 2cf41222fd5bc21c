"""The compiler and linker of this host that build modules for a kernel."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from droidheaders.build.compilers import TRIPLES, HostCompiler, dotted, find, install, native
from droidheaders.build.divergence import Divergence, between
from droidheaders.errors import DroidheadersError
from droidheaders.headers import layout
from droidheaders.kernel import compiler
from droidheaders.kernel.compiler import Compiler
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.cache import Bundle

_LLVM = (5, 4)  # make LLVM=1: 5.7, and the stable 5.4
_LLVM_SUFFIX = (5, 18)  # make LLVM=-14, LLVM=/where/it/is/
_NEW = (999, 0)  # what a release that fits no pattern counts as


@dataclass(frozen=True)
class Choice:
    """What of this host fits a kernel that `built_by` built, the best first in `hosts`.

    `arch` and `release` are the kernel's, of which the release is its first two numbers. `linked`
    says that the linker which this kernel wants is there for the first. `variables` are make's, as
    few as it needs on this host, and empty where nothing fits.
    """

    built_by: Compiler
    arch: str
    release: tuple[int, int]
    hosts: tuple[HostCompiler, ...] = ()
    linked: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def install(self) -> str:
        """Return how to get what is missing, or what would fit better; --force for one unknown."""
        if not self.built_by.family:
            return "--force to take what is here"
        without = self.hosts and not self.linked and self.hosts[0].exact
        return install(self.hosts[0].compiler if without else self.built_by, self.arch)

    def divergence(self, config: Mapping[str, str]) -> Divergence:
        """Return what the first does otherwise than the kernel's, by the kernel's options."""
        return between(self.built_by, self.hosts[0].compiler, self.release, config)


@dataclass(frozen=True)
class Toolchain:
    """What modules for a kernel are built with here.

    `variables` are those of make's command line: ARCH always, the others where make would not take
    this compiler without. `said` is a sentence without a full stop that says what was chosen and
    why, safe for a terminal; `concerns` are what another compiler may do otherwise.
    """

    compiler: HostCompiler
    variables: Mapping[str, str]
    said: str
    concerns: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        return {
            "name": printable(self.compiler.name),
            "path": printable(self.compiler.path),
            "family": self.compiler.compiler.family,
            "version": dotted(self.compiler.compiler.version),
            "exact": self.compiler.exact,
            "make": {name: printable(value, 500) for name, value in self.variables.items()},
            "said": self.said,
            "concerns": list(self.concerns),
        }


def look(
    compilers: Mapping[str, Compiler], kernel: KernelIdentity, config: Mapping[str, str] | None
) -> Choice:
    """Return what of this host fits `kernel`; `compilers` are by the source that names them.

    Where those disagree, the first counts. Asks at most four programs of this host for their
    version: 0.02 to 0.1 s.
    """
    return _of_family(_the_one(compilers), _arch(kernel, config), kernel.number or _NEW)


def choose(bundle: Bundle, force: bool = False) -> Toolchain:
    """Return what modules for a bundle's kernel are built with: the same compiler, or the nearest.

    Raises DroidheadersError, whose hint says what to install, where no compiler of the family that
    built the kernel is here with its linker, or where what is here builds no module that works: a
    clang of another version with LTO, CFI or shadow call stacks, a gcc where plugins are of another
    one. With `force` those are taken, and so is the other family where there is no better.
    """
    config = _options(bundle)
    built_by = _the_one(_named(bundle, config))
    arch = layout.real_arch(bundle.headers, bundle.meta["arch"])
    choice = _of_family(built_by, arch, bundle.kernel.number or _NEW)
    if force and not choice.linked:
        choice = _of_another_family(choice)
    if not choice.linked:
        why = f"no module can be built for {bundle.kernel}: {lacking(choice)}"
        raise DroidheadersError(why, choice.install)
    serious, concerns = _concerns(choice, config)
    if serious and not force:
        here = f"{printable(choice.hosts[0].name)} is {choice.hosts[0].compiler}"
        why = f"{here}, and {built_by} built {bundle.kernel}: {'; '.join(concerns)}"
        raise DroidheadersError(why, f"{choice.install}, or --force to take what is here")
    said = _said(choice, bundle.kernel, concerns)
    return Toolchain(choice.hosts[0], {"ARCH": arch, **choice.variables}, said, concerns)


def lacking(choice: Choice) -> str:
    """Return a clause that says why nothing of this host fits, or ""."""
    if not choice.built_by.family:
        return "nothing names the compiler that built it"
    if not choice.hosts:
        return f"no {choice.built_by.family} for {printable(choice.arch)} is on PATH"
    best = choice.hosts[0]
    has = f"{printable(best.name)} is {dotted(best.compiler.version)}"
    return "" if choice.linked else f"{has}, without its ld.lld"


def other_family(choice: Choice) -> str:
    """Return a clause that says why the other compiler is none for this kernel."""
    family = choice.built_by.family
    other = "clang" if family == "gcc" else "gcc"
    return f"{other} refuses flags that a kernel built by {family} is made with"


def _options(bundle: Bundle) -> Mapping[str, str]:
    """Return a bundle's configuration, or else what its autoconf.h tells of it: no modules."""
    if config := bundle.config():
        return config
    defined = layout.defined(bundle.headers)
    return {name: "y" if value == "1" else value.strip('"') for name, value in defined.items()}


def _named(bundle: Bundle, config: Mapping[str, str]) -> dict[str, Compiler]:
    named = {"config": compiler.of_config(config)}
    if words := str(bundle.meta["compiler"]):
        named["headers"] = compiler.parse(words)
    return {source: one for source, one in named.items() if one is not None}


def _the_one(compilers: Mapping[str, Compiler]) -> Compiler:
    """Return the first that has a family and a version, with a linker from whoever names one."""
    known = [c for c in compilers.values() if c.family]
    known.sort(key=lambda c: not c.version)
    if not known:
        return Compiler("", (), "", "")
    linker = known[0].linker or next((c.linker for c in known if c.linker), "")
    return replace(known[0], linker=linker)


def _arch(kernel: KernelIdentity, config: Mapping[str, str] | None) -> str:
    """Return the kernel's architecture; a 32-bit shell of a 64-bit kernel is told armv8l."""
    if kernel.arch == "arm" and config and config.get("CONFIG_ARM64") == "y":
        return "arm64"
    return kernel.arch


def _of_family(built_by: Compiler, arch: str, release: tuple[int, int]) -> Choice:
    hosts = find(built_by, arch) if built_by.family and arch else ()
    linked = bool(hosts) and _links(hosts[0], built_by, release)
    variables = _make(hosts[0], built_by, release, arch) if linked else {}
    return Choice(built_by, arch, release, hosts, linked, variables)


def _of_another_family(choice: Choice) -> Choice:
    """Return the choice among compilers of a family that did not build the kernel, if any."""
    for family in {"gcc": ("clang",), "clang": ("gcc",)}.get(
        choice.built_by.family, ("gcc", "clang")
    ):
        other = _of_family(Compiler(family, (), "", ""), choice.arch, choice.release)
        if other.linked:
            return replace(other, built_by=choice.built_by)
    return choice


def _concerns(choice: Choice, config: Mapping[str, str]) -> tuple[bool, tuple[str, ...]]:
    """Return whether a module would not work, or not be built, and all there is to say."""
    if not choice.built_by.family:
        return True, (lacking(choice),)
    if choice.hosts[0].compiler.family != choice.built_by.family:
        return True, (other_family(choice),)
    divergence = choice.divergence(config)
    return bool(divergence.refused or divergence.unsound), divergence.reasons


def _said(choice: Choice, kernel: KernelIdentity, concerns: tuple[str, ...]) -> str:
    here = choice.hosts[0]
    name = f"{printable(here.name)} is {here.compiler}"
    if here.exact:
        said = f"{name}, as was the compiler of {kernel}"
    elif not choice.built_by.family:
        said = f"{name}, taken for {kernel}"
    else:
        said = f"{name}, the nearest here to {choice.built_by}, which built {kernel}"
    return f"{said}: {'; '.join(concerns)}" if concerns else said


def _links(here: HostCompiler, built_by: Compiler, release: tuple[int, int]) -> bool:
    """Tell whether the linker that this kernel wants is here: LLVM=1 takes no other than ld.lld."""
    lld = built_by.linker_family == "lld" or release >= _LLVM
    return here.compiler.family == "gcc" or bool(here.linker) or not lld


def _make(
    here: HostCompiler, built_by: Compiler, release: tuple[int, int], arch: str
) -> dict[str, str]:
    """Return the variables for make by which a kernel of `release` is built with this compiler."""
    words = {} if native(arch) else {"ARCH": arch}
    cross = TRIPLES[arch][0] if arch in TRIPLES and not native(arch) else ""
    if here.compiler.family == "gcc":
        words |= {"CROSS_COMPILE": here.prefix} if here.prefix else {}
        words |= {"CC": here.name} if here.name != f"{here.prefix}gcc" else {}
    elif release < _LLVM:  # Android's backports to 4.x took CLANG_TRIPLE besides CROSS_COMPILE
        words |= {"CROSS_COMPILE": cross, "CLANG_TRIPLE": TRIPLES[arch][0]} if cross else {}
        words["CC"] = here.name
        words |= {"LD": here.linker} if built_by.linker_family == "lld" else {}
    else:
        words |= _llvm(here, release)
        if release < (5, 15):
            # Since then clang's own assembler is the default, and ARCH tells its target.
            words |= {"LLVM_IAS": "1"} | ({"CROSS_COMPILE": cross} if cross else {})
    return words


def _llvm(here: HostCompiler, release: tuple[int, int]) -> dict[str, str]:
    """Return LLVM= for this clang (Documentation/kbuild/llvm.rst)."""
    directory, base = os.path.split(here.name)
    if here.name == "clang":
        return {"LLVM": "1"}
    if release < _LLVM_SUFFIX or (directory and base != "clang"):
        return {"LLVM": "1", "CC": here.name, "LD": here.linker}
    return {"LLVM": f"{directory}/" if directory else base.removeprefix("clang")}
