"""A device that went away in the middle of a run: did it panic, or was it only lost?"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from droidheaders.errors import DroidheadersError
from droidheaders.run.verdict import Verdict
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device

_PATIENCE = 60.0  # seconds that a phone is given to come back; most boot in less
_BRIEFLY = 5.0
_LAST_WORDS = re.compile(r"Kernel panic - not syncing.*|Unable to handle kernel.*|BUG: .*")
_PANICS = re.compile(r"panic|kernel|watchdog|wdt|oops", re.IGNORECASE)
# Who reads the reason: AOSP system/core/bootstat. pstore is mounted for root alone.
_SCRIPT = """\
read -r b </proc/sys/kernel/random/boot_id; echo "boot $b"
echo "reason $(getprop ro.boot.bootreason),$(getprop sys.boot.reason)"
for f in /sys/fs/pstore/console-ramoops* /sys/fs/pstore/dmesg-ramoops*; do
  [ -r $f ] && grep -a -m 1 'Kernel panic - not syncing' $f
done
"""


def judge(
    device: Device, boot_id: str, error: DroidheadersError, console: Callable[[], str] | None
) -> Verdict:
    """Return panic or lost, after waiting a while for the device to come back.

    `console` returns what the device has written to a console of this host's, where there is one. A
    panic is what the console, pstore or the reason of the next boot tells of; nothing is raised.
    """
    if console and (words := _await_words(console)):
        return Verdict("panic", f"{device.name} panicked: {words}", "droidheaders emulator console")
    if error.kind == "timeout":
        return Verdict("timeout", error.message, error.hint)
    patience = _BRIEFLY if console else _PATIENCE  # a guest that panicked does not boot again
    ui.say(f"{error.message}; waiting for it to come back, at most {patience:g} seconds")
    try:
        device.wait_for("device", timeout=patience)
        text = device.shell(_SCRIPT).stdout.decode("utf-8", "replace")
    except DroidheadersError:
        return Verdict("lost", error.message, error.hint)
    return _returned(device, boot_id, error, text)


def _await_words(console: Callable[[], str]) -> str:
    """Return the kernel's last words; they take a moment to get to the console's end."""
    for _ in range(10):
        if words := last_words(console()):
            return words
        time.sleep(0.2)
    return ""


def last_words(text: str) -> str:
    """Return the line of a console in which the kernel gave up, fit for a terminal, or ""."""
    found = _LAST_WORDS.findall(text)
    return printable(found[-1].strip()) if "Kernel panic - not syncing" in text else ""


def _returned(device: Device, boot_id: str, error: DroidheadersError, text: str) -> Verdict:
    boot = re.search(r"^boot (\S+)$", text, re.MULTILINE)
    reason = re.search(r"^reason (.*)$", text, re.MULTILINE)
    why = printable(reason[1].strip(",")) if reason else ""
    if boot and boot[1] == boot_id:
        return Verdict(
            "lost",
            f"adb lost {device.name} for a while, which did not reboot",
            "run the same command again, over another cable or port if it is USB",
        )
    words = last_words(text)
    if words or _PANICS.search(why):
        return Verdict(
            "panic",
            f"{device.name} panicked and rebooted: {words or why}",
            "look into /sys/fs/pstore there",
        )
    told = f" ({why})" if why else ""
    return Verdict("lost", f"{device.name} rebooted in the middle of the run{told}", error.hint)
