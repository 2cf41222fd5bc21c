"""The .pc file in a bundle, for `pkg-config --cflags` where there is no Python."""

from __future__ import annotations

import re
from pathlib import Path

from droidheaders.build.flags import Flags
from droidheaders.errors import UnsupportedError
from droidheaders.kernel.identity import KernelIdentity

NAME = "droidheaders-bpf.pc"
_PLAIN = re.compile(r"[^ -~]|[$#\\\"']")


def text(flags: Flags, kernel: KernelIdentity) -> str:
    """Return the file's content for the flags of one kernel."""
    release = _PLAIN.sub("?", kernel.release)
    return (
        f"headers={flags.root}\n"
        f"target={flags.target}\n"
        f"arch={flags.arch}\n"
        "\n"
        "Name: droidheaders-bpf\n"
        f"Description: BPF programs for the kernel {release}\n"
        f"Version: {release}\n"
        f"Cflags: {' '.join(flags.kernel())}\n"
    )


def write(bundle: Path, kernel: KernelIdentity) -> None:
    """Write the file beside the headers in `bundle`; wherever that lies later, it finds them.

    Not among the headers: of those a device chose the names, and `PKG_CONFIG_PATH` leads to every
    .pc in a directory. Where there are no flags for the kernel's architecture there is no file.
    Raises OSError from the disk.
    """
    try:
        flags = Flags.read(bundle, kernel.arch, kernel, "${pcfiledir}")
    except UnsupportedError:
        return
    (bundle / NAME).write_text(text(flags, kernel))
