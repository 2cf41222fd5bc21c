"""What must be known of a device before anything is run there, asked for in one round trip."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from droidheaders.adb import NoRootError
from droidheaders.change import is_boot_id
from droidheaders.errors import UnsupportedError
from droidheaders.ui import ui

if TYPE_CHECKING:
    from droidheaders.adb import Device, Root

Who = Literal["root", "shell"]

# No process where a built-in does: each costs a slow device 50 ms. The machine is below
# /proc/sys since 6.1 (bfca3dd3d068).
_SCRIPT = """\
a=; b=
if [ -r /proc/sys/kernel/arch ]; then read -r a </proc/sys/kernel/arch; else a=$(uname -m); fi
read -r b </proc/sys/kernel/random/boot_id
echo "@ $a $b"
for f in {files}; do [ -e "$f" ] || echo "- $f"; done
"""
_ANSWER = re.compile(rb"^@ (\w{1,64}) ([0-9a-f-]{36})$", re.MULTILINE)


@dataclass(frozen=True)
class Greeting:
    """What the device said: its machine (uname -m), which boot it is, which files are not there.

    `user` runs commands as whom they are to be run: root, or the device for its shell.
    """

    user: Device | Root
    machine: str
    boot_id: str
    absent: frozenset[str] = frozenset()

    @property
    def who(self) -> str:
        """How root was had, as `Root.how`, or "shell"."""
        return getattr(self.user, "how", "shell")


def greet(device: Device, root: Root, who: Who | None, files: Sequence[str] = ()) -> Greeting:
    """Ask the device as `who`, by default as root where it gives that, and else as its shell.

    Raises NoRootError when root was asked for and is not to be had, UnsupportedError when the
    device does not answer what every Android does.
    """
    script = _SCRIPT.format(files=" ".join(map(shlex.quote, files)))
    user: Device | Root = device if who == "shell" else root
    try:
        result = user.shell(script)
    except NoRootError as e:
        if who == "root":
            raise
        ui.say(f"{e.message}; running as the shell's user")
        user = device
        result = user.shell(script)
    found = _ANSWER.search(result.stdout)
    if not found or not is_boot_id(found[2].decode()):
        raise UnsupportedError(
            f"{device.name} does not tell its machine and its boot id, without which nothing is run"
            " there",
            f"{device.adb} shell 'uname -m; cat /proc/sys/kernel/random/boot_id'",
        )
    lines = set(result.stdout.decode("utf-8", "surrogateescape").splitlines())
    absent = frozenset(file for file in files if f"- {file}" in lines)
    return Greeting(user, found[1].decode(), found[2].decode(), absent)
