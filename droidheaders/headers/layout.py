"""Where headers lie below a tree, for which target they are, and what the kernel defines for them.

What the kernel's own Makefiles hand to the compiler, as far as headers depend on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

AUTOCONF = "include/generated/autoconf.h"


def include_order(arch: str) -> list[str]:
    """Return the directories below a tree to look for headers in, in the order of LINUXINCLUDE.

    Source: the kernel's top Makefile, USERINCLUDE and LINUXINCLUDE.
    """
    own = f"arch/{arch}/include"
    return [own, f"{own}/generated", "include", *uapi_order(arch)]


def uapi_order(arch: str) -> list[str]:
    """Return those of the directories that hold what the kernel promises to programs."""
    own = f"arch/{arch}/include"
    return [f"{own}/uapi", f"{own}/generated/uapi", "include/uapi", "include/generated/uapi"]


def real_arch(root: Path, arch: str) -> str:
    """Return `arch`, or arm64 where a 32-bit shell was told armv8l (personality(2))."""
    if not (root / "arch" / arch).is_dir() and (root / "arch/arm64").is_dir():
        return "arm64"
    return arch


def defined(root: Path) -> dict[str, str]:
    """Return what autoconf.h defines: 1 for y, CONFIG_*_MODULE for m, nothing for n.

    Nothing at all where there is no autoconf.h; other errors of the disk are raised as OSError.
    """
    try:
        text = (root / AUTOCONF).read_text("utf-8", "replace")
    except FileNotFoundError:
        return {}
    return dict(re.findall(r"^#define (CONFIG_\w+) (.*)$", text, re.MULTILINE | re.ASCII))


@dataclass(frozen=True)
class Target:
    """What headers are compiled for: clang's name of it, and the -D that Makefiles add."""

    triple: str
    defines: tuple[str, ...] = ()


def target(arch: str, config: dict[str, str]) -> Target | None:
    """Return the target of headers for `arch` by what autoconf.h defines; None for one unknown."""
    wide = "CONFIG_64BIT" in config
    if arch == "arm64":
        return Target("aarch64-linux-gnu", _kasan(config))
    if arch == "x86":
        # Without it asm/ftrace.h is an #error.
        traced = ("-DCC_USING_FENTRY",) if "CONFIG_FUNCTION_TRACER" in config else ()
        return Target("x86_64-linux-gnu" if wide else "i386-linux-gnu", traced)
    if arch == "riscv":
        return Target("riscv64-linux-gnu" if wide else "riscv32-linux-gnu")
    if arch == "arm":
        version = next((v for v in "67" if f"CONFIG_CPU_32v{v}" in config), "7")
        return Target("arm-linux-gnueabi", (f"-D__LINUX_ARM_ARCH__={version}",))
    return None


def _kasan(config: dict[str, str]) -> tuple[str, ...]:
    """Return what asm/memory.h computes the kernel's addresses with (arch/arm64/Makefile)."""
    for option, shift in (("CONFIG_KASAN_SW_TAGS", 4), ("CONFIG_KASAN_GENERIC", 3)):
        if option in config:
            return (f"-DKASAN_SHADOW_SCALE_SHIFT={shift}",)
    return ()
