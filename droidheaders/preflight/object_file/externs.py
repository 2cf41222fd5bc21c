"""What an object asks of a kernel by name in .kconfig: options, and its version."""

from __future__ import annotations

import re
from collections.abc import Iterator

from droidheaders.kernel.btf import INT, Btf
from droidheaders.objects.bpf import BpfObject
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

# What libbpf knows without the configuration: bpf_object__resolve_externs().
_VIRTUAL = frozenset({"LINUX_KERNEL_VERSION", "LINUX_HAS_BPF_COOKIE", "LINUX_HAS_SYSCALL_WRAPPER"})


def options(file: BpfObject, target: Target) -> Iterator[Answer]:
    """Yield which options are not set: libbpf reads lines NAME=VALUE only, and knows no others."""
    for one in file.externs:
        if one.section != ".kconfig" or one.weak or one.name in _VIRTUAL:
            continue
        name = printable(one.name, 60)
        if target.config is None:
            yield Answer("kconfig", "unknown", f"it asks for {name}, and there is no configuration")
        elif target.config.get(one.name, "n") == "n":
            yield Answer(
                "kconfig", "no", f"it asks for {name}, which is not set", "declare it __weak"
            )


def values(file: BpfObject, target: Target) -> dict[str, int]:
    """Return the externs of .kconfig that are known: set_kcfg_value_*() in libbpf.c."""
    found = {}
    for one in file.externs:
        if one.section != ".kconfig":
            continue
        if one.name == "LINUX_KERNEL_VERSION":
            if code := version_code(target):
                found[one.name] = code
        elif one.name.startswith("CONFIG_") and target.config is not None:
            value = _value(target.config.get(one.name, "n"), file.btf, one.type)
            if value is not None:
                found[one.name] = value
    return found


def _value(text: str, btf: Btf | None, number: int) -> int | None:
    if text in ("n", "y", "m"):
        kind = btf.type(btf.plain(number)) if btf else None
        if kind and kind.kind == INT and kind.value == 1 and kind.name == "char":
            return 0 if text == "n" else ord(text)
        return "nym".index(text)
    try:
        return int(text, 0)
    except ValueError:
        return None


def version_code(target: Target) -> int:
    """Return LINUX_VERSION_CODE, 0 when unclear; 9b82f13e7ef3 and its backports stop at 255."""
    found = re.match(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,5}))?", target.kernel.release, re.ASCII)
    if not found:
        return 0
    return int(found[1]) << 16 | int(found[2]) << 8 | min(int(found[3] or 0), 255)
