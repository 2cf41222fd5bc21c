"""Finish on a device what an earlier run could not: it was killed, or the device was lost.

Before anything else happens there; one listing of a directory when there is nothing to finish.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from droidheaders import journal
from droidheaders.adb import NoRootError
from droidheaders.adb.root import unroot
from droidheaders.adb.shell import last_line
from droidheaders.change import ADB_ROOT, FILE, INSERTED, MODULE, PID, Change
from droidheaders.errors import DroidheadersError
from droidheaders.headers.loading import unload
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device

_REMOVAL = 300.0  # seconds for thousands of files on a slow device

# What lies below a directory of root's is not gone because the shell does not see it. And what was
# cut off there still writes what it had been sent.
_REMOVE = """\
[ -e @PATH ] || { [ -e @PARENT ] && [ ! -x @PARENT ] && exit 98; exit 99; }
if [ -r @PATH/@PID ] && read -r p <@PATH/@PID && [ -d /proc/$p ]; then
  case $(readlink /proc/$p/exe) in
    @PATH/*) kill -9 -- -$p 2>/dev/null || kill -9 $p || exit 1;;
    "") [ $(id -u) = 0 ] || exit 98;;
  esac
fi
n=0
until e=$(rm -rf @PATH 2>&1); do
  n=$((n+1))
  case "$n $e" in 30\\ *) ;; *'not empty'*) sleep 1; continue;; esac
  echo "$e" >&2; exit 1
done
"""


def recover(device: Device) -> None:
    """Undo the changes to `device` whose makers are dead, and tell the person.

    What cannot be undone now is warned of, and stays in the journal. While a living run has a
    module loaded, it is waited for: what it makes of the device is not what the device is.
    """
    if journal.is_under_way(device.serial, MODULE):
        ui.say(f"{printable(device.serial)}: waiting for another pull to unload its module")
        with journal.turn(device.serial, MODULE):
            pass
    for entry in journal.stale(device.serial):
        try:
            with entry.leaving() as undo_it:
                done = undo(device, entry.change) if undo_it else ""
        except DroidheadersError as e:
            ui.warn(f"what an earlier run changed on {device.name} is still so: {e.message}")
        else:
            if done:
                ui.say(f"{printable(device.serial)}: an earlier run was cut off: {done}")


def undo(device: Device, change: Change) -> str:
    """Undo one change, and return what was done, or "" when there was nothing left to do.

    Raises DroidheadersError when the device will not have it.
    """
    if change.kind == FILE:  # it outlives a reboot
        return _remove(device, change.what)
    if device.boot_id() != change.boot_id:
        return ""
    if change.kind == ADB_ROOT:
        if device.shell("id -u").stdout.strip() != b"0":
            return ""
        unroot(device)
        return "adbd runs as the shell's user again"
    assert change.kind in (MODULE, INSERTED)
    with device.privileged() as root:
        gone = [name for name in reversed(change.what.split(",")) if unload(root, name)]
    return f"unloaded {', '.join(gone)}" if gone else ""


def _remove(device: Device, path: str) -> str:
    """Remove a scratch directory of ours, and end what runs out of it, as root if need be.

    A pid that another process has by now is told by the file that this one runs.
    """
    quoted, parent = shlex.quote(path), shlex.quote(path.rpartition("/")[0] or "/")
    script = _REMOVE.replace("@PID", PID).replace("@PATH", quoted).replace("@PARENT", parent)
    result = device.shell(script, timeout=_REMOVAL)
    if result.status not in (0, 99):
        try:
            with device.privileged() as root:
                result = root.shell(script, timeout=_REMOVAL)
        except NoRootError:
            pass
    if result.status not in (0, 99):
        raise DroidheadersError(
            f"{device.name} could not remove {path}: {last_line(result.stderr)}",
            f"{device.adb} shell rm -r {quoted}",
        )
    return f"removed {path}" if result.status == 0 else ""
