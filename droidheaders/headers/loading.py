"""The kheaders module while it is loaded for us: written down before, unloaded behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from droidheaders import journal
from droidheaders.adb import NoRootError, Root
from droidheaders.adb.shell import last_line
from droidheaders.change import MODULE, Change
from droidheaders.errors import DroidheadersError, HeadersError

if TYPE_CHECKING:
    from droidheaders.adb import Device

_KHEADERS = "kheaders"


@contextmanager
def changing(device: Device, root: Root) -> Iterator[None]:
    """Write down that the block loads kheaders, and unload it where the device itself did not.

    One at a time: whoever else needs it loaded waits. What cannot be unloaded stays in the journal,
    for the next run on the device.
    """
    change = Change(device.serial, MODULE, _KHEADERS, device.boot_id())
    with journal.turn(device.serial, MODULE):
        entry = journal.write(change)
        try:
            yield
        except NoRootError:
            entry.remove()  # nothing was loaded
            raise
        except BaseException:
            try:
                unload(root, _KHEADERS)
                entry.remove()
            except DroidheadersError:  # it may be gone, module and all
                entry.release()
            raise
        entry.remove()


# Once more after a second: the device's own script may be unloading it at this moment.
_UNLOAD = """\
d=/sys/module/@MODULE
[ -d $d ] || exit 99
rmmod @MODULE || { [ ! -d $d ] || sleep 1; [ ! -d $d ] || rmmod @MODULE; }
"""


def unload(root: Root, module: str) -> bool:
    """Unload a module; return whether it was loaded.

    Raises HeadersError when the kernel will not have that. As root even to look: the shell's user
    may not stat what is in /sys on an enforcing device.
    """
    result = root.shell(_UNLOAD.replace("@MODULE", module), timeout=10.0)
    if result.status not in (0, 99):
        raise HeadersError(
            f"{root.device.name} could not unload {module}: {last_line(result.stderr)}",
            f"{root.device.adb} shell su 0 rmmod {module}",
        )
    return result.status == 0
