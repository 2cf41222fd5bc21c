"""Which kernel a device runs, asked as root in few words, where the cache knows all the rest of it.

`gathering.of_device` asks everything, which takes an emulated guest half a second more. What puts
the answers together is imported when they are there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from droidheaders.kernel.identity import KernelIdentity, build_id_of_notes
from droidheaders.kernel.inquiry import SWITCHES
from droidheaders.kernel.probe import answers, framed, understanding

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        boot = f"m boot_id; line {_KERNEL}/random/boot_id\n"
        notes = "m notes; dd if=/sys/kernel/notes 2>/dev/null\n"
        self._questions = f"{uname}{machine}{boot}{notes}{_WORDS}m end\n"
        self.script = framed(self._nonce, self._questions)
        self.end = f"@{self._nonce} end\n".encode()
        """The last of what the script writes."""

    def answered(self, device: Device, output: bytes) -> Answers:
        """Return what the script wrote, understood; DeviceLostError when that is not whole."""
        with understanding(device):
            raw = answers(output, self._nonce, self._questions)
        text = {key: value.decode("utf-8", "replace").strip() for key, value in raw.items()}
        build_id = build_id_of_notes(raw["notes"])
        kernel = KernelIdentity(text["osrelease"], text["version"], text["arch"], build_id)
        told = {key: text[key] for key in _ASKED if text[key]}
        return Answers(kernel, text["boot_id"], told)


@dataclass(frozen=True)
class Answers:
    """Which kernel it is, in which boot of the device, and what it says of itself.

    None of it is more than text from a device.
    """

    kernel: KernelIdentity
    boot_id: str
    told: Mapping[str, str]

    def facts(self, device: Device, cache: Cache) -> Facts | None:
        """Return what is known of the kernel, or None when the cache does not have it."""
        from droidheaders import gathering

        bundle = cache.lookup(self.kernel)
        if bundle is None:
            return None
        facts = gathering.of_bundle(bundle)
        target = replace(
            facts.target,
            name=f"{bundle.kernel} on {device.name}",
            switches=gathering.switches(self.told, facts.target.config),
        )
        return replace(facts, target=target)
