"""What a program, in LLVM's IR, would have the assembler do: nothing but BPF instructions.

Headers come from a device, and a directive such as .incbin puts any file of this host into an
object that is to be pushed there. Names of directives can be put together by macros; so none at all
may be there.
"""

from __future__ import annotations

import re

# LangRef, "Module-Level Inline Assembly" and "Inline Assembler Expressions".
_ASSEMBLY = re.compile(
    rb'^module asm "([^"]*)"|\basm (?:sideeffect |alignstack |inteldialect |unwind )*"([^"]*)"',
    re.M,
)
_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2})")
# A directive begins a statement; `$` is an operand of the expression, `#` begins a comment.
_DIRECTIVE = re.compile(rb"(?:^|[\n;:{|}])\s*(\.[A-Za-z_]\w*)")


def directive(ir: bytes) -> str:
    """Return the first assembler directive in a module of LLVM's textual IR, or "" for none."""
    for found in _ASSEMBLY.finditer(ir):
        text = _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), found[1] or found[2] or b"")
        if named := _DIRECTIVE.search(text):
            return named[1].decode()
    return ""
