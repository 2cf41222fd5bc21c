"""include/config/auto.conf: a kernel's options as its Makefiles read them.

Never made by Kconfig, which would ask this host's tools again: without pahole, say, it drops
options silently, and with them fields of `struct module`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from droidheaders.errors import HeadersError
from droidheaders.headers import layout
from droidheaders.kernel.kconfig import Kconfig

_UNQUOTED = (5, 17)  # 129ab0d2d9f3: strings without quotes in auto.conf
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})", re.ASCII)
# What neither make nor a shell makes anything of, inside quotes or outside of them. Parentheses
# are in the versions of compilers alone, which Makefiles always put into quotes.
_PLAIN = re.compile(r"[\w ./:,+=@%^~-]*", re.ASCII)
_VERSION = re.compile(r"[\w ./:,+=@%^~()-]*", re.ASCII)
_WARNING = re.compile(r"-W[a-z][\w=-]*", re.ASCII)
# Programs, and not options: CONFIG_SHELL is the shell that make runs recipes with.
_NEVER = {
    "CONFIG_SHELL",
    # Its step takes types out of a vmlinux, which there is none of.
    "CONFIG_DEBUG_INFO_BTF_MODULES",
}


def options(bundle: Path) -> dict[str, str]:
    """Return the options of the kernel in `bundle` that are set, as a .config writes them.

    Of the IKCONFIG, else of the headers' autoconf.h, where an int of 1 cannot be told from y.
    Raises HeadersError where there is neither, and OSError.
    """
    if (bundle / "config").is_file():
        try:
            written = Kconfig.parse((bundle / "config").read_bytes()).written
        except ValueError as e:
            raise HeadersError(
                f"the configuration in {bundle.name} {e}", "droidheaders pull"
            ) from e
        return {name: value for name, value in written.items() if value != "n"}
    defined = layout.defined(bundle / "headers")
    if not defined:
        raise HeadersError(
            f"{bundle.name} has no configuration of its kernel: no IKCONFIG, and no"
            f" {layout.AUTOCONF} among its headers",
            "droidheaders pull, on a device whose kernel has CONFIG_IKCONFIG_PROC",
        )
    return dict(_defined(defined))


def _defined(defines: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in defines.items():
        if value != "1":
            yield name, value
        elif name.endswith("_MODULE"):
            yield name.removesuffix("_MODULE"), "m"
        else:
            yield name, "y"


def auto_conf(options: dict[str, str], number: tuple[int, int]) -> tuple[str, list[str]]:
    """Return auto.conf for Makefiles of kernel `number`, and the options that are left out.

    The values come from a device, and Makefiles hand some of them to a shell or to the compiler as
    its flags: what could be more there than a word of a value is left out.
    """
    lines, left = [], []
    for name, value in sorted(options.items()):
        if name in _NEVER:
            continue
        shown = _value(name, value, quoted=number < _UNQUOTED)
        if shown is None:
            left.append(name)
        else:
            lines.append(f"{name}={shown}\n")
    return "".join(lines), left


def _value(name: str, value: str, *, quoted: bool) -> str | None:
    if value in ("y", "m") or _NUMBER.fullmatch(value):
        return value
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return None
    text = value[1:-1]
    pattern = _VERSION if name.endswith("_VERSION_TEXT") else _PLAIN
    safe = _WARNING.fullmatch(text) if text.startswith("-") else pattern.fullmatch(text)
    if not safe:
        return None
    return value if quoted else text
