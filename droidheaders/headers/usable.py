"""What are unpacked headers good for? All that a program includes, or only some of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from droidheaders.headers import layout
from droidheaders.headers.clang import Clang, ClangError, Findings
from droidheaders.headers.layout import AUTOCONF
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.ui import printable

_NAMED = 20  # what is missing beyond this is counted

# What every kernel build makes before it compiles anything (`prepare` in its Makefiles), since
# before 5.2; seen in 5.10, 6.1 and 6.12. compile.h is made later, and not in every archive.
_GENERATED = (
    "include/generated/asm-offsets.h",
    AUTOCONF,
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


def assess(root: Path, arch: str, config: bytes | None = None) -> Usability:
    """Say what the headers below `root` are good for, as arch/`arch` there has them.

    `config` is the running kernel's, where it is known: headers that were made with another one
    have other structures. Raises OSError from the disk. Takes 0.2 s where there is a clang.
    """
    arch = layout.real_arch(root, arch)
    absent = [name for name in _GENERATED if not (root / name).is_file()]
    if not any((root / "arch" / arch / "include/generated").glob("**/*.h")):
        absent.append(f"arch/{arch}/include/generated/*.h")
    defined = layout.defined(root)
    if config is not None:
        absent += _contradictions(config, defined)
    clang = Clang.find()
    try:
        found = _preprocess(clang, root, arch, defined)
    except ClangError as e:
        unchecked = f"{clang.version if clang else 'clang'} {e}"
        return _usability(absent, "", printable(unchecked))
    names = [f"{name}, included by {by}" if by else name for name, by in found.missing.items()]
    told = tuple(f"/{name}" for name in found.missing)
    absent = [name for name in absent if not name.endswith(told)] if told else absent
    return _usability([*absent, *names, *found.errors], clang.version if clang else "")


def _preprocess(clang: Clang | None, root: Path, arch: str, defined: dict[str, str]) -> Findings:
    if clang is None:
        raise ClangError("is not on this host")
    target = layout.target(arch, defined)
    if target is None:
        raise ClangError(f"was not asked: there are no known flags for {arch}")
    found = clang.preprocess(root, arch, target.triple, target.defines, _INCLUDES)
    for error in found.errors:
        if error.startswith("include/linux/compiler-clang.h:") and "too old" in error:
            raise ClangError(f"is not what these headers take: {error}")
    return found


def _contradictions(config: bytes, defined: dict[str, str]) -> list[str]:
    """Return a line when autoconf.h was made from another configuration.

    An option that `config` does not name proves nothing: distributions leave out some.
    """
    try:
        options = Kconfig.parse(config).written
    except ValueError:
        return []

    def agrees(name: str, written: str) -> bool:
        module = f"{name}_MODULE" in defined
        expected = {"y": "1", "m": None, "n": None}.get(written, written)
        # A hex option may be written without its 0x, and gets it in autoconf.h.
        same = defined.get(name) in (expected, f"0x{expected}")
        return same and module == (written == "m")

    wrong = [name for name, written in options.items() if not agrees(name, written)]
    if not wrong or not defined:
        return []
    which = ", ".join(wrong[:3]) + (", …" if len(wrong) > 3 else "")
    return [f"{AUTOCONF} of the kernel's configuration: {len(wrong)} options differ ({which})"]


def _usability(missing: list[str], checked_with: str, unchecked: str = "") -> Usability:
    names = [printable(name) for name in missing[:_NAMED]]
    if len(missing) > _NAMED:
        names.append(f"and {len(missing) - _NAMED} more")
    state = "partial" if missing else "usable"
    return Usability(state, tuple(names), checked_with, unchecked)
