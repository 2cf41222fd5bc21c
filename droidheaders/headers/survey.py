"""What an archive says it is, before anything of it is written.

An archive that does not come from a device comes without a `uname`: which kernel its headers are
of, where it ends in the file around it, and whether the cache has it, is found out by one pass
of the reader that unpacks it afterwards. Reading twice costs 0.2 s for a real archive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from droidheaders.headers import verify
from droidheaders.headers.limits import Limits, UnusableError
from droidheaders.headers.spool import pieces
from droidheaders.headers.tar import FILE, SYMLINK, Member, members
from droidheaders.headers.xz import XzStream
from droidheaders.ui import Bar, printable

_AUTOCONF = "include/generated/autoconf.h"
_KEPT = (verify.UTS, verify.COMPILE, _AUTOCONF)
_UTS_FIELD = 64  # characters in a field of new_utsname (include/uapi/linux/utsname.h)
# What `uname -m` says, by arch/NAME, on 64 and on 32 bits; UTS_MACHINE in arch/*/Makefile.
_MACHINES = {
    "arm64": ("aarch64", "aarch64"),
    "x86": ("x86_64", "i686"),
    "riscv": ("riscv64", "riscv32"),
}


@dataclass(frozen=True)
class Survey:
    """One archive: its `size` in bytes and SHA-256, and the kernel that its headers are of.

    `version` is UTS_VERSION, or "": since 6.1 no archive has it.
    """

    size: int
    sha256: str
    release: str
    machine: str
    version: str


def survey(view: memoryview, bar: Bar | None = None, limits: Limits | None = None) -> Survey:
    """Read the archive that begins where `view` begins; what is behind its end is not looked at.

    Raises ArchiveError for an archive that breaks a rule, UnusableError when it does not say of
    which kernel it is.
    """
    limits = limits or Limits()
    stream = _Stream(view, bar, limits)
    seen = _Seen()
    for member in members(iter(stream.xz), limits):
        seen.add(member)
    release = seen.release()
    version = verify.define(seen.kept.get(verify.COMPILE, b""), "UTS_VERSION")
    return Survey(
        stream.xz.size,
        stream.xz.sha256,
        release,
        seen.machine(),
        version[:_UTS_FIELD] if version.isprintable() else "",
    )


class _Stream:
    """The xz stream at the start of a view that goes on behind it."""

    def __init__(self, view: memoryview, bar: Bar | None, limits: Limits) -> None:
        self.xz = XzStream(self._chunks(view, bar), tail=bytearray(), limits=limits)

    def _chunks(self, view: memoryview, bar: Bar | None) -> Iterator[bytes]:
        sent = 0
        for piece in pieces(view, bar):
            if self.xz.size < sent:  # it ended within what was sent
                return
            sent += len(piece)
            yield piece


@dataclass
class _Seen:
    """What the members have told so far."""

    kept: dict[str, bytes] = field(default_factory=dict)
    arches: set[str] = field(default_factory=set)
    generated: set[str] = field(default_factory=set)
    files: int = 0
    away: list[str] = field(default_factory=list)

    def add(self, member: Member) -> None:
        name = member.name.decode("utf-8", "replace").removeprefix("./")
        if member.kind == SYMLINK and member.target.startswith(b"/"):
            self.away.append(name)
        if member.kind != FILE:
            return
        self.files += 1
        if name in _KEPT:
            self.kept.setdefault(name, bytes(member.data))
        if found := re.fullmatch(
            r"arch/([a-z0-9_]{1,32})/include/(generated|asm/ptrace\.h)(/.*)?", name
        ):
            (self.generated if found[2] == "generated" else self.arches).add(found[1])

    def release(self) -> str:
        if verify.UTS not in self.kept:
            if len(self.away) > self.files:
                raise UnusableError(
                    f"is unusable: {len(self.away)} of its headers are links that lead nowhere"
                    f" here, such as {self.away[0]!r}"
                )
            raise UnusableError(f"holds no {verify.UTS}, so nothing tells which kernel it is of")
        release = verify.define(self.kept[verify.UTS], "UTS_RELEASE")
        if not release or not release.isprintable() or len(release) > _UTS_FIELD:
            raise UnusableError(
                f"is of no kernel: its UTS_RELEASE is no plain text: {printable(release)}"
            )
        return release

    def machine(self) -> str:
        # A tree that was cleaned badly has a second architecture, but not its generated headers.
        arches = (self.arches & self.generated) or self.arches
        if len(arches) != 1:
            which = f"of {', '.join(sorted(arches))}" if arches else "of no architecture"
            raise UnusableError(f"holds headers {which}, and must be of one")
        [arch] = arches
        config = self.kept.get(_AUTOCONF, b"")
        if arch == "arm":
            v6 = b"#define CONFIG_CPU_32v6 1\n" in config
            return "armv6l" if v6 else "armv7l"
        wide, narrow = _MACHINES.get(arch, (arch, arch))
        return narrow if config and b"#define CONFIG_64BIT 1\n" not in config else wide
