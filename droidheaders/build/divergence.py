"""What a compiler of another version than the kernel's does otherwise to modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from droidheaders.build.compilers import revision
from droidheaders.kernel.compiler import Compiler
from droidheaders.kernel.kconfig import shuffled

_KCFI = (6, 1)  # -fsanitize=kcfi in place of jump tables: the top Makefile of 6.1
_KCFI_CLANG = 16  # LLVM's first release with it; Android's own have it from 14.0.7 on


@dataclass(frozen=True)
class Divergence:
    """What is otherwise, each a clause that names the option it comes from.

    `refused` shows when a module is built, and `unsound` when it runs, for nothing checks it;
    `doubtful` is a compiler that may lack something, which shows when it does.
    """

    refused: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    unsound: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return all of them."""
        return self.refused + self.doubtful + self.unsound


def between(
    built_by: Compiler, here: Compiler, release: tuple[int, int], config: Mapping[str, str]
) -> Divergence:
    """Return what sets `here` apart from the compiler of a kernel; both are of one family.

    Compilers of the same major and minor version are the same, except for what one of them was
    never given. `release` is the kernel's first two numbers, and `config` has its options, with
    CONFIG_ before their names.
    """
    refused = tuple(_refused(built_by, here, release, config))
    if here.version[:2] == (*built_by.version, 0)[:2]:
        return Divergence(refused)
    older = f"{here} may refuse flags that Kconfig found {built_by} to take"
    doubtful = (older,) if here.version < built_by.version else ()
    return Divergence(refused, doubtful, tuple(_unsound(built_by, release, config)))


def _refused(
    built_by: Compiler, here: Compiler, release: tuple[int, int], config: Mapping[str, str]
) -> Iterator[str]:
    if built_by.family == "gcc" and here.version[: len(built_by.version)] != built_by.version:
        plugins = [n.removeprefix("CONFIG_") for n in config if n.startswith("CONFIG_GCC_PLUGIN_")]
        if used := [name for name in plugins if config[f"CONFIG_{name}"] == "y"]:
            # plugin_default_version_check in each of scripts/gcc-plugins.
            yield f"{' and '.join(used[:2])}: a plugin works in the one gcc it was made for"
    kcfi = _cfi(config) and release >= _KCFI
    if kcfi and here.family == "clang" and here.version[0] < _KCFI_CLANG and not revision(here):
        yield f"{_cfi(config)} takes -fsanitize=kcfi, which clang {here.version[0]} does not know"


def _unsound(
    built_by: Compiler, release: tuple[int, int], config: Mapping[str, str]
) -> Iterator[str]:
    kasan = config.get("CONFIG_KASAN_GENERIC", config.get("CONFIG_KASAN"))
    if built_by.family == "gcc" and kasan == "y":
        # KASAN_ABI_VERSION by version in include/linux/compiler-gcc.h, mm/kasan/kasan.h.
        yield "KASAN: each gcc describes globals to it in its own way"
    if shuffled(config):
        yield "RANDSTRUCT: the compiler shuffles structures, by that build's seed"
    if cfi := _cfi(config):
        what = "hash types" if release >= _KCFI else "number types for jump tables"
        yield f"{cfi}: both compilers must {what} alike, or calls panic"
    if config.get("CONFIG_LTO_CLANG") == "y":
        yield "LTO_CLANG: ld.lld must be of the same LLVM as clang"
    if config.get("CONFIG_SHADOW_CALL_STACK") == "y":
        yield "SHADOW_CALL_STACK: both must keep their hands off its register"


def _cfi(config: Mapping[str, str]) -> str:
    """Return the option's name where CFI is on: it lost its _CLANG in 2025."""
    return next((n for n in ("CFI_CLANG", "CFI") if config.get(f"CONFIG_{n}") == "y"), "")
