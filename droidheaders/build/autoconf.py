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
_SHELL = "CONFIG_SHELL"  # no option: the shell that make runs recipes with
_BTF = "CONFIG_DEBUG_INFO_BTF_MODULES"  # takes the kernel's types out of a vmlinux: there is none
_QUOTE = '"'


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


def safe(options: dict[str, str]) -> dict[str, str]:
    """Return the options whose values are no more than a word of a value.

    They come from a device, and Makefiles hand some of them to a shell or to the compiler as flags.
    """
    return {n: v for n, v in options.items() if n != _SHELL and _is_safe(n, v)}


def auto_conf(options: dict[str, str], number: tuple[int, int]) -> str:
    """Return auto.conf for Makefiles of kernel `number`; `options` are safe ones."""
    quoted = number < _UNQUOTED
    return "".join(
        f"{name}={value if quoted else value.strip(_QUOTE)}\n"
        for name, value in sorted(options.items())
        if name != _BTF
    )


def dot_config(options: dict[str, str]) -> str:
    """Return a .config, which some external modules' Makefiles read; `options` are safe ones."""
    return "".join(f"{name}={value}\n" for name, value in sorted(options.items()))


def _is_safe(name: str, value: str) -> bool:
    if value in ("y", "m") or _NUMBER.fullmatch(value):
        return True
    if len(value) < 2 or value[0] != _QUOTE or value[-1] != _QUOTE:
        return False
    text = value[1:-1]
    if text.startswith("-"):
        return _WARNING.fullmatch(text) is not None
    pattern = _VERSION if name.endswith("_VERSION_TEXT") else _PLAIN
    return pattern.fullmatch(text) is not None
