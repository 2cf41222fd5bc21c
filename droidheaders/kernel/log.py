"""What SELinux has refused, as the kernel's log and logcat tell it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from droidheaders.kernel.text import decode

_LIMIT = 4 << 20  # characters of a log that are looked at; a kernel's ring has 1 MB at most
_LINE = 4096
_DENIED = re.compile(r"avc: +denied +\{([^{}]*)\} for (.*)")
_FIELD = re.compile(r'(?<!\w)(\w{1,16})=(?:"([^"]*)"|(\S+))', re.ASCII)


@dataclass(frozen=True)
class Denial:
    """One access that SELinux refused, or would have; the texts are the log's and not made safe.

    `scontext` is who asked, `tcontext` what for, `tclass` what that is, such as file or bpf. `path`
    is the whole path or only the last name, or "" where there is none. `permissive` means that the
    access was let through; None where the log does not tell, before 3.17.
    """

    permissions: tuple[str, ...]
    scontext: str
    tcontext: str
    tclass: str
    comm: str
    path: str
    permissive: bool | None


def denials(log: bytes | str) -> list[Denial]:
    """Return the denials in a log, in its order, each once: dmesg, logcat or audit's own file.

    Lines that were cut off before the target's class are left out.
    """
    text = (decode(log) if isinstance(log, bytes) else log)[:_LIMIT]
    found: dict[Denial, None] = {}
    for line in text.splitlines():
        if "avc:" in line and (match := _DENIED.search(line[:_LINE])):
            fields = {f[1]: _plain(f[1], f[2], f[3]) for f in _FIELD.finditer(match[2])}
            if fields.get("tclass"):
                found.setdefault(_denial(match[1], fields))
    return [*found]


def _denial(permissions: str, fields: dict[str, str]) -> Denial:
    return Denial(
        permissions=tuple(permissions.split()),
        scontext=fields.get("scontext", ""),
        tcontext=fields.get("tcontext", ""),
        tclass=fields["tclass"],
        comm=fields.get("comm", ""),
        path=fields.get("path") or fields.get("name", ""),
        permissive={"0": False, "1": True}.get(fields.get("permissive", "")),
    )


def _plain(name: str, quoted: str | None, bare: str | None) -> str:
    """Return a field's value: text with blanks in it is in hex (audit_log_untrustedstring)."""
    if bare and name in ("comm", "path", "name") and re.fullmatch(r"(?:[0-9A-F]{2})+", bare):
        return bytes.fromhex(bare).decode("utf-8", "replace")
    return quoted or bare or ""
