"""The script that modules are linked by, for providers that bring none.

Debian's headers packages have module.lds of their own kernels only, and what is in it depends on
the configuration: the sections below are those of scripts/module.lds.S, by the release.
"""

from __future__ import annotations

NEWEST = (6, 12)
"""The newest kernel whose script is known here."""

_KSYMTAB = ("__ksymtab", "__ksymtab_gpl", "__kcrctab", "__kcrctab_gpl")
_DROPPED = ("_unused", "_unused_gpl", "_gpl_future")  # until 5.12: 367948220fce, f1c3d73e973c

_EXPORT_SYMBOL = (6, 5)  # ddb5cdbafaaa: modpost reads .export_symbol, and the linker drops it
_KCFI = (6, 1)  # 89245600941e: no __cfi_check at the start of .text, but .kcfi_traps
_CTORS = (5, 13)  # of KASAN and GCOV, in the stable 5.10 not
_CODETAG = (6, 10)  # 22d407b164ff


def source(number: tuple[int, int], config: frozenset[str]) -> str:
    """Return what the C preprocessor makes the script of; `config` names the options that are on.

    It is for kernels from 5.10 to NEWEST, and includes asm/module.lds.h for the architecture's own.
    """
    cfi = "CONFIG_CFI_CLANG" in config and number < _KCFI
    discarded = ["*(.discard)", "*(.discard.*)"]
    discarded += ["*(.export_symbol)"] if number >= _EXPORT_SYMBOL else []
    discarded += ["*(.eh_frame)"] if cfi else []
    body = [f"/DISCARD/ : {{ {' '.join(discarded)} }}", *_tables(number)]
    if "CONFIG_ARCH_USES_CFI_TRAPS" in config and number >= _KCFI:
        body.append("__kcfi_traps : { KEEP(*(.kcfi_traps)) }")
    body += _split(number, cfi) if "CONFIG_LTO_CLANG" in config else _codetags(number)
    heading = ["#include <asm/page.h>"] if cfi else []
    heading += ["#include <asm-generic/codetag.lds.h>"] if number >= _CODETAG else []
    return "\n".join([*heading, "SECTIONS {", *body, "}", "#include <asm/module.lds.h>", ""])


def _tables(number: tuple[int, int]) -> list[str]:
    names = list(_KSYMTAB)
    if number < (5, 12):
        names = [
            f"{table}{kind}"
            for table in ("__ksymtab", "__kcrctab")
            for kind in ("", "_gpl", *_DROPPED)
        ]
    first = (".ctors", ".init_array") if number >= _CTORS else (".init_array",)
    kept = (".altinstructions", "__bug_table", "__jump_table")
    lines = [f"{n} 0 : {{ *(SORT(_{n}+*)) }}" for n in names]
    lines += [f"{n} 0 : ALIGN(8) {{ *(SORT({n}.*)) *({n}) }}" for n in first]
    lines += [f"{n} 0 : ALIGN(8) {{ KEEP(*({n})) }}" for n in kept]
    name = "__patchable_function_entries"
    return [*lines, f"{name} : {{ *({name}) }}"]


def _split(number: tuple[int, int], cfi: bool) -> list[str]:
    """Put together the sections that LTO makes of each function and variable.

    dc5723b02e52, and cf68fffb66d6 for a CFI that looks for __cfi_check at the start of a page.
    """
    lines = []
    for name in (".bss", ".data", ".rodata"):
        tags = " CODETAG_SECTIONS()" if name == ".data" and number >= _CODETAG else ""
        lines.append(f"{name} : {{ *({name} {name}.[0-9a-zA-Z_]*) *({name}..L*){tags} }}")
    if number < _KCFI:
        place = "ALIGN(PAGE_SIZE) " if cfi else ""
        text = "*(.text.__cfi_check) *(.text .text.[0-9a-zA-Z_]* .text..L.cfi*)"
        lines.append(f".text : {place}{{ {text} }}")
    return lines


def _codetags(number: tuple[int, int]) -> list[str]:
    return [".data : { CODETAG_SECTIONS() }"] if number >= _CODETAG else []
