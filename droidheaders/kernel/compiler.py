"""The compiler that built a kernel, in its own words."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Compiler:
    """A compiler as a text names it: `family` gcc, clang or "", `version` as numbers, or ().

    `linker` is such as "GNU ld 2.40" or "LLD 14.0.7", or "" where the text names none.
    """

    family: str
    version: tuple[int, ...]
    linker: str
    text: str


def of_banner(banner: str) -> str:
    """Return the compiler in a line of /proc/version, or "" when there is none.

    The line is `Linux version RELEASE (user@host) (COMPILER) #N …`: linux_proc_banner in
    init/version-timestamp.c. Compilers put parentheses into their own versions.
    """
    match = re.match(r"Linux version \S+ \([^()]*\) \((.*)\) #", banner)
    return match[1] if match else ""
