"""What must be known of a device before anything is run there, and as whom that is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from droidheaders.adb import NoRootError
from droidheaders.change import is_boot_id
from droidheaders.errors import UnsupportedError
from droidheaders.run.scratch import making, not_made
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device, Root

Who = Literal["root", "shell"]

ARCH = {"aarch64": "arm64", "x86_64": "x86_64"}
"""What we call the machines (uname -m) that BPF is run on."""

_SCRIPT = """\
b=; read -r b </proc/sys/kernel/random/boot_id
echo "@ $b $(uname -rm)"
command -v su >/dev/null && echo "su"
for f in {files}; do [ -e "$f" ] || echo "- $f"; done
{make}
"""
_ANSWER = re.compile(rb"^@ ([0-9a-f-]{36}) (.{1,64}) (\w{1,64})$", re.MULTILINE)


@dataclass(frozen=True)
class Greeting:
    """What the device said: its machine (uname -m), which boot it is, which files are not there.

    `release` is its kernel's, fit for a terminal. `has_su` means that its shell finds a su, so that
    adbd need not be restarted to become root.
    """

    machine: str
    boot_id: str
    release: str
    has_su: bool = False
    absent: frozenset[str] = frozenset()


def greet(device: Device, place: str, files: Sequence[str] = ()) -> Greeting:
    """Ask the device, also which of `files` are not there, and make `place`, in one round trip.

    `place` is a path that `reserved` gave. Raises UnsupportedError when the device does not answer
    what every Android does, DroidheadersError when the directory cannot be made.
    """
    result = device.shell(
        _SCRIPT.format(files=" ".join(map(shlex.quote, files)), make=making(place))
    )
    found = _ANSWER.search(result.stdout)
    if not found or not is_boot_id(found[1].decode()):
        raise UnsupportedError(
            f"{device.name} does not tell its machine and its boot id, without which nothing is run"
            " there",
            f"{device.adb} shell 'uname -m; cat /proc/sys/kernel/random/boot_id'",
        )
    if result.status:
        raise not_made(device, place, result.stderr)
    lines = set(result.stdout.decode("utf-8", "surrogateescape").splitlines())
    absent = frozenset(file for file in files if f"- {file}" in lines)
    release = printable(found[2].decode("utf-8", "replace"))
    return Greeting(found[3].decode(), found[1].decode(), release, "su" in lines, absent)


def become(root: Root, who: Who | None, script: str = ":") -> tuple[Device | Root, bytes]:
    """Return who runs things: root where there is one, unless `who` says otherwise.

    That is the device, for its shell, or `root`; and what `script` wrote, run as he. Raises
    NoRootError when root was asked for and is not to be had.
    """
    if who != "shell":
        try:
            return root, root.shell(script).stdout
        except NoRootError as e:
            if who == "root":
                raise
            ui.say(f"{e.message}; running as the shell's user")
    return root.device, root.device.shell(script).stdout
