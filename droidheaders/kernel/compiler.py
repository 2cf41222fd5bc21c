"""The compiler that built a kernel, as everything that records it names it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

_LIMIT = 4096  # characters of a text that are looked at; real ones are 60 to 400
_NUMBER = r"(\d{1,9}(?:\.\d{1,9}){0,3})"
_VERSION = re.compile(_NUMBER, re.ASCII)
# `clang version` of clang and of Android's, Debian's, Neutron's; Qualcomm's names no clang.
_CLANG = re.compile(
    rf"\b(?:clang version|Snapdragon LLVM ARM Compiler) {_NUMBER}", re.ASCII | re.IGNORECASE
)
# `gcc -v` (compile.h before 5.8), `gcc --version` (which begins with the name it was called by),
# and .comment.
_GCC = re.compile(rf"(?:\bgcc version|^GCC:|^(?:\S*[-/])?g?cc\S*) +{_NUMBER}", re.ASCII)
_LINKERS = {"GNU ld": "ld.bfd", "GNU gold": "gold", "LLD": "lld", "mold": "mold"}
_LINKER = re.compile(rf"(?:^|, |: )(?:[\w.-]+ )?({'|'.join(_LINKERS)})\b(.*)", re.ASCII)


@dataclass(frozen=True)
class Compiler:
    """A compiler as a text names it: `family` gcc, clang or "", `version` as numbers, or ().

    `linker` is such as "GNU ld 2.40" or "LLD 14.0.7", or "" where the text names none. `text` may
    hold what a terminal does not take.
    """

    family: str
    version: tuple[int, ...]
    linker: str
    text: str

    @property
    def linker_family(self) -> str:
        """Return ld.bfd, gold, lld or mold, or "" where no linker is known."""
        return next((f for name, f in _LINKERS.items() if self.linker.startswith(name)), "")

    def __str__(self) -> str:
        version = ".".join(map(str, self.version))
        return f"{self.family or 'an unknown compiler'} {version}".rstrip()


def parse(text: str) -> Compiler:
    """Return the compiler that a text names: of a banner, of `--version`, or of .comment.

    Nothing is refused: of a text that names no compiler, family and version are empty.
    """
    text = text[:_LIMIT].strip()
    found = _LINKER.search(text)
    words, linker = (text[: found.start()], found) if found else (text, None)
    family, number = "", ""
    if match := _CLANG.search(words):  # clang may have been called gcc, never the reverse
        family, number = "clang", match[1]
    elif match := _GCC.match(_outside(words).lstrip()):
        family, number = "gcc", match[1]
    return Compiler(family, _numbers(number), _linker(linker), text)


def of_banner(banner: str) -> Compiler | None:
    """Return the compiler in a line of /proc/version, or None when there is none.

    The line is `Linux version RELEASE (user@host) (COMPILER) #N …`: linux_proc_banner in
    init/version-timestamp.c. Compilers put parentheses into their own versions.
    """
    match = re.search(r"Linux version \S+ \([^()]*\) \((.*)\) #", banner[:_LIMIT])
    return parse(match[1]) if match else None


def of_compile_h(header: bytes) -> Compiler | None:
    """Return LINUX_COMPILER of an include/generated/compile.h, or None when it is not there."""
    text = header[: 16 * _LIMIT].decode("utf-8", "replace")
    match = re.search(r'^#define[ \t]+LINUX_COMPILER[ \t]+"(.*)"', text, re.MULTILINE)
    return parse(match[1]) if match else None


def of_comment(section: bytes) -> Compiler | None:
    """Return the compiler in an ELF file's .comment, or None when it names none.

    The section holds strings that end in a zero byte, of each compiler and linker that had a part
    in the file: the first compiler counts.
    """
    strings = section[: 16 * _LIMIT].decode("utf-8", "replace").split("\0")
    named = [parse(string) for string in strings]
    compiler = next((c for c in named if c.family), None)
    linker = next((c.linker for c in named if c.linker), "")
    return compiler and replace(compiler, linker=compiler.linker or linker)


def of_config(config: Mapping[str, str]) -> Compiler | None:
    """Return the compiler that Kconfig found, or None.

    Options tell family and version since 4.18 (init/Kconfig). The compiler's own words were a
    comment then, and are CC_VERSION_TEXT since 5.8.
    """
    text = config.get("CONFIG_CC_VERSION_TEXT", "")
    named = parse(text)
    family = named.family
    for name in ("gcc", "clang"):
        if config.get(f"CONFIG_CC_IS_{name.upper()}") == "y":
            family = name
    # The text first: Android's clang 5.0.300080 makes 500300080 of the number.
    version = named.version or _coded(config.get(f"CONFIG_{family.upper()}_VERSION", ""))
    if not family:
        return None
    return Compiler(family, version, _configured_linker(config), named.text)


def disagreement(compilers: Mapping[str, Compiler]) -> str:
    """Return a clause that says which of the sources name another compiler, or "".

    Family, major and minor version, and the linker's family are compared, as far as each source
    names them: "gcc-12 (Debian …) 12.2.0" and "gcc (GCC) 12.2.1" are the same compiler.
    """
    for told in (_named, lambda compiler: compiler.linker_family):
        sources: dict[str, list[str]] = {}
        for source, compiler in compilers.items():
            if what := told(compiler):
                sources.setdefault(what, []).append(source)
        # A family alone, such as gcc, agrees with each of its versions.
        whole = [w for w in sources if not any(o.startswith(f"{w} ") for o in sources)]
        if len(whole) > 1:
            return ", ".join(f"{what} by {' and '.join(sources[what])}" for what in whole)
    return ""


def _named(compiler: Compiler) -> str:
    version = ".".join(map(str, (*compiler.version, 0)[:2])) if compiler.version else ""
    return f"{compiler.family} {version}".rstrip() if compiler.family else ""


def _configured_linker(config: Mapping[str, str]) -> str:
    """Return the linker that Kconfig found, or ""; kernels of 5.11 and older name only LLD."""
    if config.get("CONFIG_LD_IS_LLD") == "y":
        version = _coded(config.get("CONFIG_LLD_VERSION", ""))
        return f"LLD {'.'.join(map(str, version))}".rstrip()
    version = _coded(config.get("CONFIG_LD_VERSION", ""))
    return f"GNU ld {'.'.join(map(str, version))}" if any(version) else ""


def _coded(number: str) -> tuple[int, ...]:
    """Return the version in such as 140007, or () for none.

    GNU ld's had nine digits, 235020000, until 5.11 (scripts/ld-version.sh).
    """
    if not re.fullmatch(r"[1-9][0-9]{4,8}", number):
        return ()
    value = int(number) if len(number) < 9 else int(number) // 10_000
    return value // 10_000, value // 100 % 100, value % 100


def _linker(found: re.Match[str] | None) -> str:
    if found is None:
        return ""
    version = _VERSION.search(_outside(found[2]))
    return f"{found[1]} {'.'.join(version[1].split('.')[:3])}" if version else found[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".")) if version else ()


def _outside(text: str) -> str:
    """Return the text without what is in parentheses, which hold packages and places."""
    out = []
    depth = 0
    for c in text:
        if c == "(":
            depth += 1
        elif c == ")":
            depth = max(depth - 1, 0)
        elif not depth:
            out.append(c)
    return "".join(out)
