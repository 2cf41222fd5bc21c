"""The compiler that built a kernel, in its own words."""

from __future__ import annotations

import re


def of_banner(banner: str) -> str:
    """Return the compiler in a line of /proc/version, or "" when there is none.

    The line is `Linux version RELEASE (user@host) (COMPILER) #N …`: linux_proc_banner in
    init/version-timestamp.c. Compilers put parentheses into their own versions.
    """
    match = re.match(r"Linux version \S+ \([^()]*\) \((.*)\) #", banner)
    return match[1] if match else ""
