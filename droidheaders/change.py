"""A change to a device: what was made otherwise there, and what it takes to undo it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass

_SCHEMA = 1

ADB_ROOT, MODULE, INSERTED, FILE = "adb-root", "module", "inserted", "file"

PID = ".pid"
"""The file in a scratch directory that has the pid of what runs out of it."""

# The name that a module has once it is loaded is shorter than MODULE_NAME_LEN, 56.
_WHAT = {
    ADB_ROOT: re.compile(""),
    MODULE: re.compile(r"[0-9A-Za-z_]{1,55}"),
    INSERTED: re.compile(r"[0-9A-Za-z_]{1,55}(,[0-9A-Za-z_]{1,55}){0,31}"),
    # Beside what is put there whole: a rename does not leave a file system.
    FILE: re.compile(r"(/(?!\.\.?/)[\w.+~%-]+)*/droidheaders-[0-9a-f]{16}", re.ASCII),
}
TMP = "/data/local/tmp"
"""Where the shell may write, on every Android."""
_BOOT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Change:
    """One change to the device `serial`.

    `what` is a module's name, those of the modules that a run inserts, in their order and with
    commas, or a path that `scratch_path` gave; nothing for `adb root`.
    `boot_id` names the device's boot, beyond which neither modules nor root last; files do, and
    need none. ValueError for what is no such thing: what is read from a file may have been written
    by anybody.
    """

    serial: str
    kind: str
    what: str
    boot_id: str = ""

    def __post_init__(self) -> None:
        if self.kind not in _WHAT:
            raise ValueError(f"a change of kind {self.kind!r}")
        if not _WHAT[self.kind].fullmatch(self.what):
            raise ValueError(f"no {self.kind} of ours: {self.what!r}")
        if not is_boot_id(self.boot_id) and (self.boot_id or self.kind != FILE):
            raise ValueError(f"no boot id: {self.boot_id!r}")

    def to_json(self) -> str:
        """Return what an entry of the journal holds; the pid is for people who look into it."""
        return json.dumps({"schema": _SCHEMA, **asdict(self), "pid": os.getpid()}, indent=2) + "\n"

    @classmethod
    def from_json(cls, data: bytes, serial: str) -> Change:
        """Return what `to_json` was made from; ValueError when that is no change of `serial`."""
        try:
            facts = json.loads(data)
        except (ValueError, RecursionError):
            raise ValueError("no JSON") from None
        if not isinstance(facts, dict) or facts.get("schema") != _SCHEMA:
            raise ValueError(f"not of schema {_SCHEMA}: written by another version")
        values = [facts.get(key) for key in ("serial", "kind", "what", "boot_id")]
        words = [value for value in values if isinstance(value, str)]
        if len(words) != len(values) or words[0] != serial:
            raise ValueError("not all there, or of another device")
        return cls(*words)


def is_boot_id(text: str) -> bool:
    """Tell whether this is what /proc/sys/kernel/random/boot_id holds (random(4))."""
    return _BOOT_ID.fullmatch(text) is not None


def scratch_path(parent: str = TMP) -> str:
    """Return a new path on a device for files of ours; the only kind that is ever removed there."""
    return f"{parent.rstrip('/')}/droidheaders-{os.urandom(8).hex()}"
