"""The seed by which a kernel's structures are laid out at random: without it no module fits.

The headers tell its hash alone; the seed itself lies in the tree that the kernel was built in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from droidheaders.build.providers import Provider
from droidheaders.cache import Bundle
from droidheaders.errors import UnsupportedError
from droidheaders.kernel.kconfig import shuffled

# 035f7f87b729, of 5.19, moved both: scripts/gen-randstruct-seed.sh, and before that
# scripts/gcc-plugins/gen-random-seed.sh.
_HASHES = ("include/generated/randstruct_hash.h", "include/generated/randomize_layout_hash.h")
_SEEDS = ("basic/randstruct.seed", "gcc-plugins/randomize_layout_seed.h")
_HASH = re.compile(r'#define RANDSTRUCT_HASHED_SEED "([0-9a-f]{64})"', re.ASCII)
_SEED = re.compile(r"\b[0-9a-f]{64}\b", re.ASCII)
_LONGEST = 4096


def check(bundle: Bundle, config: Mapping[str, str], provider: Provider) -> None:
    """Raise UnsupportedError where structures are shuffled, and not by the provider's seed.

    `config` has the kernel's options, with CONFIG_ before their names.
    """
    option = shuffled(config)
    if not option:
        return
    wanted = _found([bundle.headers / name for name in _HASHES], _HASH)
    seed = _found([provider.scripts / name for name in _SEEDS], _SEED)
    if seed and wanted == hashlib.sha256(seed.encode()).hexdigest():
        return
    why = "has another seed" if seed and wanted else "has no such seed"
    raise UnsupportedError(
        f"structures of {bundle.kernel} are laid out by a secret seed (CONFIG_{option}=y), and"
        f" {provider.name} {why}",
        "droidheaders kdir --provider TREE, with the tree that this kernel was built in",
    )


def _found(files: list[Path], pattern: re.Pattern[str]) -> str:
    """Return what a pattern finds in the first file that is there, or ""."""
    for file in files:
        with suppress(OSError), file.open(encoding="ascii", errors="replace") as opened:
            if match := pattern.search(opened.read(_LONGEST)):
                return match[match.lastindex or 0]
    return ""
