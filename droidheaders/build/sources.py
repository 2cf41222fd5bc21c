"""What a BPF program includes, and so which headers it is to be compiled with.

Read from the source and from the files of its own that it includes, by name and whatever an #if
around it says: which of the kernel's headers are meant is a question about the whole program.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from droidheaders.build.flags import UAPI
from droidheaders.errors import UsageError
from droidheaders.headers import layout
from droidheaders.ui import printable

KERNEL, USER, CORE = "kernel", "uapi", "co-re"
VMLINUX = "vmlinux.h"

_READ = 8 << 20  # bytes of a source; a vmlinux.h of one's own has 3 MB, and is not read
_FILES = 1000
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_INCLUDE = re.compile(r"""^[ \t]*#[ \t]*include(?:_next)?[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)""", re.M)


@dataclass(frozen=True)
class Includes:
    """What a program includes: `own` are files beside it, `names` what is elsewhere.

    `vmlinux` says that one of them is vmlinux.h, and `own_vmlinux` that it brings its own.
    """

    own: frozenset[Path]
    names: frozenset[str]
    vmlinux: bool
    own_vmlinux: bool


def read(source: Path, directories: Sequence[Path] = ()) -> Includes:
    """Return what `source` includes; `directories` are where -I looks for files of its own.

    Raises UsageError when there is no such file.
    """
    own: set[Path] = set()
    names: set[str] = set()
    vmlinux = own_vmlinux = False
    pending = [source]
    while pending:
        file = pending.pop()
        for quoted, angled in _included(file, needed=file == source):
            name = quoted or angled
            places = ([file.parent] if quoted else []) + list(directories)
            found = next((p for p in (place / name for place in places) if p.is_file()), None)
            if os.path.basename(name) == VMLINUX:
                vmlinux, own_vmlinux = True, own_vmlinux or found is not None
            elif found is None:
                names.add(name)
            elif found not in own and len(own) < _FILES:
                own.add(found)
                pending.append(found)
    return Includes(frozenset(own), frozenset(names), vmlinux, own_vmlinux)


def kinds(includes: Includes, headers: Path, arch: str) -> list[str]:
    """Return which headers the program may mean, the likeliest first.

    What is below include/uapi alone, or below include/ alone, tells. Names such as linux/bpf.h are
    in both: then it is tried with the first, in which compiling takes a tenth of the time.
    """
    if includes.vmlinux:
        return [CORE]
    uapi = [headers / place for place in layout.uapi_order(arch)]
    inner = [p for p in layout.include_order(arch) if p not in layout.uapi_order(arch)]
    kernel = [headers / place for place in inner]
    both = False
    for name in includes.names:
        in_kernel = _is_in(name, kernel)
        if in_kernel and not _is_in(name, [UAPI, *uapi]):
            return [KERNEL]
        both = both or in_kernel
    return [USER, KERNEL] if both else [USER]


def _is_in(name: str, places: list[Path]) -> bool:
    return any((place / name).is_file() for place in places)


def _included(file: Path, *, needed: bool) -> list[tuple[str, str]]:
    """Return the quoted and the angled name of each include, one of them empty."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_READ).decode("utf-8", "replace")
    except OSError as e:
        if not needed:
            return []
        name = printable(str(file), 500)
        raise UsageError(f"cannot read {name}: {e.strerror}", f"ls -l {name}") from e
    found = _INCLUDE.findall(_COMMENT.sub(" ", text.replace("\\\n", "")))
    return [(quoted, angled) for quoted, angled in found]
