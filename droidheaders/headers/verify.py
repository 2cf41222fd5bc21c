"""Is this the headers of that kernel? Asked of the unpacked tree, answered by its own words."""

from __future__ import annotations

import re
from pathlib import Path

from droidheaders.headers.limits import UnusableError
from droidheaders.headers.unpack import Unpacked
from droidheaders.kernel.compiler import of_compile_h
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.ui import printable

UTS = "include/generated/utsrelease.h"
COMPILE = "include/generated/compile.h"
_SCHED = "include/linux/sched.h"
_READ = 64 * 1024  # of a generated header; real ones are shorter than 1 KB


def verify(root: Path, unpacked: Unpacked, kernel: KernelIdentity) -> None:
    """Raise UnusableError unless the tree below `root` belongs to `kernel`.

    UTS_RELEASE must be the running release, letter for letter, and the architecture must have its
    directory; both are what a module's vermagic and every include path rest on. What else headers
    may lack is for `usable.assess` to say.
    """
    _refuse_links_to_nowhere(unpacked)
    if UTS not in unpacked.sha256:
        raise UnusableError(f"holds no {UTS}, so nothing tells which kernel it is of")
    release = _define(root / UTS, "UTS_RELEASE")
    if release != kernel.release:
        raise UnusableError(f"is of another kernel: its UTS_RELEASE is {printable(repr(release))}")
    # A 32-bit shell on a 64-bit kernel sees armv8l or i686 (personality(2)).
    arches = {"arm": ("arm", "arm64")}.get(kernel.arch, (kernel.arch,))
    if not any(f"arch/{arch}/include/asm/ptrace.h" in unpacked.sha256 for arch in arches):
        raise UnusableError(f"holds no headers for {kernel.arch}")
    # Through a link it may lead to its place; empty, a build or a disk has failed.
    if not (root / _SCHED).is_file() or not (root / _SCHED).stat().st_size:
        raise UnusableError(f"is unusable: it holds no {_SCHED}, or an empty one")


def compiler(root: Path) -> str:
    """Return LINUX_COMPILER of the tree: the compiler's own words, or "" when they are not kept."""
    try:
        with (root / COMPILE).open("rb") as file:
            named = of_compile_h(file.read(_READ))
    except OSError:
        return ""
    return named.text if named else ""


def _refuse_links_to_nowhere(unpacked: Unpacked) -> None:
    """Published GKI builds of 5.15, 6.1 and 6.3 hold 6,000 links into the build machine's disk."""
    skipped = {rule: n for rule, n in unpacked.skipped.items() if "symlink" in rule}
    if sum(skipped.values()) > unpacked.files:
        rule = max(skipped, key=lambda rule: skipped[rule])
        raise UnusableError(
            f"is unusable: {sum(skipped.values())} of its headers are links that lead nowhere"
            f" here, such as {unpacked.examples[rule]!r}"
        )


def _define(path: Path, name: str) -> str:
    with path.open("rb") as file:
        return define(file.read(_READ), name)


def define(header: bytes, name: str) -> str:
    """Return the string that a generated header defines `name` as, or ""."""
    text = header[:_READ].decode("utf-8", "replace")
    match = re.search(rf'^#define\s+{name}\s+"(.*)"', text, re.MULTILINE)
    return match[1] if match else ""
