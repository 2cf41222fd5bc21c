"""What there is to attach to on a device, and what of it is nearly what was asked for."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droidheaders.kernel.inquiry import TRACEFS
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device, Root

_LIMIT = 12 << 20  # bytes of available_filter_functions; real ones have 1 to 3 MB
_SHOWN = 3
_SLACK = 8  # by how many letters a near miss is longer or shorter at most
_CUTOFF = 0.7
# What compilers make of a function that they split or specialise.
_SUFFIX = re.compile(r"\.(isra|constprop|part|cold|llvm|cfi_jt)\b")
_SYSCALL = re.compile(r"_*(?:x64_|arm64_|ia32_|se_|do_)?sys_?(\w+)")


@dataclass(frozen=True)
class Missing:
    """Why there is no such attach point, as a clause, and names that are nearly it."""

    because: str
    near: tuple[str, ...] = ()


def function(user: Device | Root, name: str) -> Missing:
    """Say why nothing can be attached to the kernel function `name`; raises what `shell` raises."""
    functions = _lines(user, "available_filter_functions")
    names = {line.split()[0] for line in functions if line.split()}
    variants = sorted(one for one in names if one.startswith(f"{name}.") and _SUFFIX.search(one))
    if variants:
        return Missing("the compiler made others of it", tuple(map(printable, variants[:_SHOWN])))
    symbol = user.shell(f"grep -m 1 -E {shlex.quote(f' {re.escape(name)}( |$)')} /proc/kallsyms")
    if name not in names and symbol.stdout.strip():
        return Missing(
            "the kernel has it and does not let it be traced (notrace, NOKPROBE_SYMBOL, or inlined)"
        )
    if name in names:
        return Missing("the kernel does not let it be probed (it is on kprobes' blacklist)")
    return Missing("the kernel has no such function", near(name, names))


def event(user: Device | Root, name: str) -> Missing:
    """Say why there is no tracepoint `name`, CATEGORY:EVENT, or EVENT of a raw tracepoint."""
    events = {line.strip() for line in _lines(user, "available_events")}
    known = {one.partition(":")[2] for one in events}
    if ":" not in name:
        return Missing("the kernel has no such tracepoint", near(name, known))
    own = name.partition(":")[2]
    elsewhere = sorted(one for one in events if one.partition(":")[2] == own)
    found = tuple(map(printable, elsewhere[:_SHOWN])) or near(name, events)
    return Missing("the kernel has no such tracepoint", found)


def user_function(user: Device | Root, target: str) -> Missing:
    """Say why nothing can be attached to `target`, PATH:FUNCTION; raises what `shell` raises."""
    path = target.partition(":")[0]
    if not path.startswith("/"):
        return Missing("its section names no path of a file on the device")
    if user.shell(f"[ -e {shlex.quote(path)} ]").status:
        return Missing("there is no such file on the device")
    return Missing("the file has no such symbol")


def near(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the few of `names` that are most like `name`, fit for a terminal."""
    syscall = _SYSCALL.fullmatch(name)
    close = []
    if syscall:
        own = re.compile(rf"__(x64|arm64|riscv)_sys_{re.escape(syscall[1])}")
        close = sorted(one for one in names if own.fullmatch(one))
    like = [one for one in names if abs(len(one) - len(name)) <= _SLACK]
    close += difflib.get_close_matches(name, like, n=_SHOWN, cutoff=_CUTOFF)
    return tuple(printable(one) for one in dict.fromkeys(close))[:_SHOWN]


def _lines(user: Device | Root, file: str) -> list[str]:
    """Return the lines of a file of tracefs, none where it may not be read."""
    places = " ".join(f"{place}/{file}" for place in TRACEFS)
    script = f"for f in {places}; do [ -r $f ] && head -c {_LIMIT} $f && break; done"
    return user.shell(script, timeout=60.0).stdout.decode("utf-8", "replace").splitlines()
