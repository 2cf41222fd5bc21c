"""What are unpacked headers good for? All that a program includes, or only some of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from droidheaders.headers.clang import Clang, ClangError, Findings
from droidheaders.ui import printable

_NAMED = 20  # what is missing beyond this is counted

# What every kernel build makes before it compiles anything (`prepare` in its Makefiles), since
# before 5.2; seen in 5.10, 6.1 and 6.12. compile.h is made later, and not in every archive.
_GENERATED = (
    "include/generated/asm-offsets.h",
    "include/generated/autoconf.h",
    "include/generated/bounds.h",
    "include/generated/timeconst.h",
    "include/generated/uapi/linux/version.h",
    "include/generated/utsrelease.h",
    "include/linux/kconfig.h",
)
# Between them they include some 700 headers: what BPF programs and modules begin with.
_INCLUDES = ["linux/sched.h", "linux/fs.h", "net/sock.h"]


@dataclass(frozen=True)
class Usability:
    """What headers are good for.

    `state` is "usable", or "partial" when something that every program needs is missing or broken;
    `missing` names it, at most 21 lines fit for a terminal. `checked_with` is the clang that
    preprocessed linux/sched.h, linux/fs.h and net/sock.h; where it is "", only the presence of
    the generated headers was looked at, and `unchecked` says why.
    """

    state: str
    missing: tuple[str, ...]
    checked_with: str
    unchecked: str = ""


def assess(root: Path, arch: str) -> Usability:
    """Say what the headers below `root` are good for, as arch/`arch` there has them.

    Raises OSError from the disk. Takes 0.2 s where there is a clang.
    """
    if not (root / "arch" / arch).is_dir() and (root / "arch/arm64").is_dir():
        arch = "arm64"  # a 32-bit shell sees armv8l (personality(2))
    absent = [name for name in _GENERATED if not (root / name).is_file()]
    if not any((root / "arch" / arch / "include/generated").glob("**/*.h")):
        absent.append(f"arch/{arch}/include/generated/*.h")
    clang = Clang.find()
    try:
        found = _preprocess(clang, root, arch)
    except ClangError as e:
        unchecked = printable(f"{clang.version if clang else 'clang'} {e}")
        return _usability(absent, "", unchecked)
    names = [f"{name}, included by {by}" if by else name for name, by in found.missing.items()]
    told = tuple(f"/{name}" for name in found.missing)
    absent = [name for name in absent if not name.endswith(told)] if told else absent
    return _usability([*absent, *names, *found.errors], clang.version if clang else "")


def _preprocess(clang: Clang | None, root: Path, arch: str) -> Findings:
    if clang is None:
        raise ClangError("is not on this host")
    target, defines = _target(root, arch)
    return clang.preprocess(root, arch, target, defines, _INCLUDES)


def _target(root: Path, arch: str) -> tuple[str, tuple[str, ...]]:
    """Return clang's name of the target, and what arch/*/Makefile defines for headers."""
    wide = _option(root, "64BIT")
    if arch == "arm64":
        return "aarch64-linux-gnu", ()
    if arch == "x86":
        return ("x86_64-linux-gnu" if wide else "i386-linux-gnu"), ()
    if arch == "riscv":
        return ("riscv64-linux-gnu" if wide else "riscv32-linux-gnu"), ()
    if arch == "arm":
        version = next((v for v in ("7", "6") if _option(root, f"CPU_32v{v}")), "7")
        return "arm-linux-gnueabi", (f"-D__LINUX_ARM_ARCH__={version}",)
    raise ClangError(f"was not asked: there are no known flags for {arch}")


def _option(root: Path, name: str) -> bool:
    try:
        text = (root / "include/generated/autoconf.h").read_bytes()
    except FileNotFoundError:
        return False
    return re.search(rb"^#define CONFIG_%s 1$" % name.encode(), text, re.MULTILINE) is not None


def _usability(missing: list[str], checked_with: str, unchecked: str = "") -> Usability:
    names = [printable(name) for name in missing[:_NAMED]]
    if len(missing) > _NAMED:
        names.append(f"and {len(missing) - _NAMED} more")
    state = "partial" if missing else "usable"
    return Usability(state, tuple(names), checked_with, unchecked)
