"""The environment that BCC, bpftrace and a kernel's make find a bundle by.

Above the rooms rather than in one: which compiler of this host fits is preflight's to know.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from droidheaders import equipping, gathering
from droidheaders.build.flags import Flags
from droidheaders.cache import Bundle, Cache
from droidheaders.errors import DroidheadersError
from droidheaders.preflight import toolchain
from droidheaders.ui import printable, ui

# By these Kbuild takes a compiler from the environment: each is set or unset, so that nothing is
# left of the kernel before. CC and LD it takes from the command line only: make CC="$CC".
_TAKEN = ("CROSS_COMPILE", "LLVM", "LLVM_IAS", "CLANG_TRIPLE")
_COMPILER = (*_TAKEN, "CC", "LD")
_OURS = ("KDIR", *_TAKEN)


@dataclass(frozen=True)
class Environment:
    """What to export, and what must not be there."""

    exported: Mapping[str, str]
    unset: tuple[str, ...]


def of_bundle(cache: Cache, bundle: Bundle) -> Environment:
    """Return the environment for a bundle's kernel.

    Where no compiler of this host fits, that is said and none is named; where modules cannot be
    built yet, that is said and there is no KDIR. Nothing is fetched. Raises what `Flags.of` raises.
    Asks at most four compilers for their version: 0.02 to 0.1 s.
    """
    headers, arch = str(bundle.headers), Flags.of(bundle).arch
    facts = gathering.of_bundle(bundle)
    report = toolchain.judge(facts.compilers, facts.target.kernel, facts.target.config)
    words = shlex.split(str(report.facts["use"]))
    named = dict(word.split("=", 1) for word in words)
    if report.details[1].verdict in ("no", "unknown"):
        ui.warn(f"no compiler is named: {printable(report.details[1].because, 500)}")
    exported = {
        "BCC_KERNEL_SOURCE": headers,
        "BPFTRACE_KERNEL_SOURCE": headers,
        **_kdir(cache, bundle),
        "ARCH": arch,
        **{name: named[name] for name in _COMPILER if name in named},
    }
    return Environment(exported, tuple(name for name in _OURS if name not in exported))


def _kdir(cache: Cache, bundle: Bundle) -> dict[str, str]:
    try:
        return {"KDIR": str(equipping.usual(cache, bundle, fetch=False))}
    except DroidheadersError as e:
        ui.say(f"no KDIR to build modules in: {e.message} ({e.hint})")
        return {}
