"""The types of a bundle's kernel: its own BTF, else one made from its headers; and vmlinux.h."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders.build import bpftool, tools
from droidheaders.build.flags import Flags
from droidheaders.build.typed_headers import INCLUDES
from droidheaders.errors import DroidheadersError, HeadersError, UnsupportedError
from droidheaders.headers import layout
from droidheaders.headers.bounded import Bounds, ProgramError, run
from droidheaders.headers.clang import Clang, ClangError
from droidheaders.kernel.btf import STRUCT, Btf, check
from droidheaders.kernel.kconfig import shuffled
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.cache import Bundle, Cache

_PAHOLE = (1, 22)  # the first with --btf_encode_detached
_BOUNDS = Bounds(seconds=120, memory=3 << 30, output=256 << 20)  # 0.5 s and 100 MB are usual
_ROUNDS = 12  # of compiling; one is usual, each has fewer headers
_WITHOUT = "linux/sched.h"  # what has not even this has nothing
# The kernel was laid out otherwise than what is compiled here: clang's words to 15, and since 16.
_OTHERWISE = re.compile("static_assert failed|static assertion failed")


@dataclass(frozen=True)
class KernelBtf:
    """The file at `path`, and whether it is the kernel's own or made from its headers.

    By one that is made CO-RE relocations are resolved, while fentry, lsm, iter and struct_ops take
    the kernel's own. `tools` made it; `left_out` says why for each header that did not compile.
    """

    path: Path
    made_from_headers: bool
    tools: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def kernel_btf(bundle: Bundle, cache: Cache) -> KernelBtf:
    """Return the BTF of a bundle's kernel, made from its headers where it has none: 3 s, once.

    Raises HeadersError when the BTF or the headers are no good, UnsupportedError where headers do
    not tell the layout, DroidheadersError without clang and pahole 1.22.
    """
    own = bundle.path / "btf"
    if own.exists():
        try:
            check(own.read_bytes())
        except (OSError, ValueError) as e:
            raise HeadersError(
                f"the BTF of {printable(bundle.name)} {e}",
                "droidheaders cache verify --repair, or droidheaders pull --refresh",
            ) from e
        return KernelBtf(own, made_from_headers=False)
    clang, pahole = _clang(), tools.find("pahole")
    headers = _Headers.of(bundle)

    def make(place: Path) -> None:
        _make(headers, place, clang, pahole)

    by = (clang.version, pahole.identity, *headers.words, *INCLUDES)
    place = cache.derived.make(bundle, "btf", by, make)
    made = json.loads((place / "made.json").read_text())
    return KernelBtf(place / "btf", True, tuple(made["tools"]), made["left_out"])


def vmlinux_h(bundle: Bundle, cache: Cache) -> Path:
    """Return a directory that holds vmlinux.h, the types of the bundle's kernel as C.

    Made with bpftool, once; raises what `kernel_btf` raises, and DroidheadersError where bpftool is
    not there, or does not know what is in that BTF.
    """
    btf = kernel_btf(bundle, cache)
    tool = tools.find("bpftool")
    source = btf.path.parent.name if btf.made_from_headers else "own"

    def make(place: Path) -> None:
        bpftool.write_c(tool, btf.path, place, printable(bundle.name))

    return cache.derived.make(bundle, "vmlinux", (source, tool.identity), make)


def _clang() -> Clang:
    clang = Clang.find()
    if clang is None:
        raise DroidheadersError("clang is not on this host", "sudo apt-get install clang")
    return clang


@dataclass(frozen=True)
class _Headers:
    """Headers that tell the layout of types, and what they are compiled with."""

    name: str
    root: Path
    arch: str
    target: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, bundle: Bundle) -> _Headers:
        name = printable(bundle.name)
        defined = layout.defined(bundle.headers)
        # Headers that are configured otherwise, or not at all, have other structures.
        wrong = [one for one in bundle.meta.get("missing", []) if one.startswith(layout.AUTOCONF)]
        if not defined or wrong:
            why = printable(str(wrong[0])) if wrong else f"there is no {layout.AUTOCONF}"
            raise HeadersError(f"the headers of {name} tell no types: {why}", "droidheaders pull")
        if option := shuffled(dict.fromkeys(defined, "y")):
            raise UnsupportedError(
                f"the headers of {name} tell no types: its structures are shuffled"
                f" (CONFIG_{option}), by a seed that is not in them",
                "take the kernel's own BTF: pull as root, or import the kernel's image",
            )
        flags = Flags.of(bundle)
        target = layout.target(flags.arch, defined)
        # Not all that programs are compiled with: CONFIG_CC_IS_CLANG is not the kernel's.
        words = (*(target.defines if target else ()), *flags.types())
        return cls(name, bundle.headers, flags.arch, flags.target, words)


def _make(headers: _Headers, place: Path, clang: Clang, pahole: tools.Tool) -> None:
    if pahole.version < _PAHOLE:
        needed = tools.dotted(_PAHOLE)
        raise DroidheadersError(f"{pahole} is too old: {needed} is needed", pahole.install)
    ui.say(f"making BTF from the headers of {headers.name}")
    unit, btf = place / "unit.o", place / "btf"
    try:
        left_out = _compile(headers, unit, clang)
        ran = run([pahole.path, f"--btf_encode_detached={btf}", unit], place, _BOUNDS)
        types = Btf(btf.read_bytes() if ran.status == 0 else b"")
        if not types.find("task_struct", STRUCT):
            raise ValueError("has no struct task_struct")
    except (ProgramError, ValueError) as e:
        tool = pahole.name if not isinstance(e, ClangError) else "clang"
        what = f"{tool} {e}" if isinstance(e, ProgramError) else f"what {tool} made {e}"
        message = f"no BTF can be made from the headers of {headers.name}: {printable(what, 300)}"
        raise HeadersError(message, f"droidheaders cache show {headers.name}") from e
    finally:
        for file in (unit, place / ".out", place / ".err"):
            file.unlink(missing_ok=True)
    made = {"tools": [clang.version, str(pahole)], "left_out": left_out}
    (place / "made.json").write_text(json.dumps(made))


def _compile(headers: _Headers, unit: Path, clang: Clang) -> dict[str, str]:
    """Compile the types of all headers that compile; return why not by each that does not."""
    left_out: dict[str, str] = {}
    for _ in range(_ROUNDS):
        names = [name for name in INCLUDES if name not in left_out]
        # Three lines each, so that clang's errors tell which.
        lines = [f"#if __has_include(<{name}>)\n#include <{name}>\n#endif\n" for name in names]
        blamed = clang.compile(
            headers.root, headers.arch, headers.target, headers.words, "".join(lines), unit
        )
        if not blamed:
            return left_out
        left_out |= {names[line // 3]: printable(why, 300) for line, why in blamed.items()}
        for name, why in left_out.items():
            if name == _WITHOUT or _OTHERWISE.search(why):
                raise ClangError(f"says {why}")
    raise ClangError(f"says {next(iter(left_out.values()))}, and more without that")
