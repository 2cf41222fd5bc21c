"""What a device says of a refusal afterwards: who asked, what keeps him, what the log has of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droidheaders.kernel.log import Denial, denials
from droidheaders.kernel.probe import answers, framed
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device, Root

# What the kernel's log has of the loader stands at its end.
_QUESTIONS = """\
m uid; field Uid: /proc/self/status
m caps; field CapEff: /proc/self/status
m context; line /proc/self/attr/current 2>/dev/null
m enforce; line /sys/fs/selinux/enforce 2>/dev/null
m unprivileged; line /proc/sys/kernel/unprivileged_bpf_disabled 2>/dev/null
m lockdown; line /sys/kernel/security/lockdown 2>/dev/null
m denials; { dmesg || logcat -d -b all; } 2>/dev/null | tail -n 200 | grep 'avc: .*loader'
m killed; dmesg 2>/dev/null | tail -n 100 | grep -E 'Killed process|lowmemorykiller|BUG:|Oops'
m end
"""
_LOCKDOWN = re.compile(r"\[(integrity|confidentiality)\]")
_ENFORCING = "1"


@dataclass(frozen=True)
class Evidence:
    """What was found. `uid` is -1 and texts are empty where nothing told; all are made safe.

    `denials` are those of SELinux against the loader that were not let through, the last one last.
    """

    uid: int = -1
    caps: int = 0
    context: str = ""
    enforcing: bool = False
    unprivileged: str = ""
    lockdown: str = ""
    denials: tuple[Denial, ...] = ()
    killed: str = ""


def gather(user: Device | Root) -> Evidence:
    """Ask, in one round trip; raises what `shell` raises."""
    nonce = os.urandom(16).hex()
    result = user.shell(framed(nonce, _QUESTIONS))
    try:
        raw = answers(result.stdout, nonce, _QUESTIONS)
    except ValueError:
        return Evidence()
    text = {key: value.decode("utf-8", "replace").strip() for key, value in raw.items()}
    lockdown = _LOCKDOWN.search(text["lockdown"])
    return Evidence(
        uid=int(text["uid"]) if text["uid"].isdecimal() else -1,
        caps=int(text["caps"], 16) if re.fullmatch("[0-9a-f]{1,16}", text["caps"]) else 0,
        context=printable(text["context"].rstrip("\0")),
        enforcing=text["enforce"] == _ENFORCING,
        unprivileged=printable(text["unprivileged"], 20),
        lockdown=lockdown[1] if lockdown else "",
        denials=tuple(one for one in denials(raw["denials"]) if one.permissive is not True),
        killed=printable(text["killed"].splitlines()[-1]) if text["killed"] else "",
    )
