"""Which kernel a device runs, asked as root in few words, where the cache knows all the rest of it.

`gathering.of_device` asks everything, which takes an emulated guest half a second more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from droidheaders import gathering
from droidheaders.kernel.identity import KernelIdentity, build_id_of_notes
from droidheaders.kernel.inquiry import SWITCHES
from droidheaders.kernel.probe import answers, framed, understanding

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.cache import Cache
    from droidheaders.preflight.facts import Facts

_ASKED = ("modules_disabled", "sig_enforce", "lockdown", "tainted", "cmdline")
_WORDS = "".join(f"m {key}; [ -r {SWITCHES[key]} ] && line {SWITCHES[key]}\n" for key in _ASKED)
_KERNEL = "/proc/sys/kernel"


class Questions:
    """The questions as a script, for whoever runs it as root, and what its answers mean."""

    def __init__(self) -> None:
        self._nonce = os.urandom(16).hex()
        uname = "".join(f"m {k}; line {_KERNEL}/{k}\n" for k in ("osrelease", "version"))
        machine = f"m arch; f={_KERNEL}/arch; if [ -r $f ]; then line $f; else uname -m; fi\n"
        notes = "m notes; dd if=/sys/kernel/notes 2>/dev/null\n"
        self._questions = f"{uname}{machine}{notes}{_WORDS}m end\n"
        self.script = framed(self._nonce, self._questions)

    def facts(self, device: Device, output: bytes, open_cache: Callable[[], Cache]) -> Facts | None:
        """Return what is known of the kernel, or None when the cache does not have it.

        Raises DeviceLostError when the answer is not whole, and what opening the cache raises.
        """
        with understanding(device):
            raw = answers(output, self._nonce, self._questions)
        text = {key: value.decode("utf-8", "replace").strip() for key, value in raw.items()}
        build_id = build_id_of_notes(raw["notes"])
        kernel = KernelIdentity(text["osrelease"], text["version"], text["arch"], build_id)
        bundle = open_cache().lookup(kernel)
        if bundle is None:
            return None
        facts = gathering.of_bundle(bundle)
        told = {key: text[key] for key in _ASKED if text[key]}
        target = replace(
            facts.target,
            name=f"{bundle.kernel} on {device.name}",
            switches=gathering.switches(told, facts.target.config),
        )
        return replace(facts, target=target)
