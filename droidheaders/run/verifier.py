"""The verifier's log of a program that it refused: what it says last, and of which source line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from droidheaders.objects.bpf import BpfObject
from droidheaders.objects.btf_ext import Lines
from droidheaders.ui import printable

# print_verification_stats() and bpf_vlog_reset() of kernel/bpf/verifier.c end every log so.
_STATISTICS = re.compile(r"(processed \d+ insns|verification time|stack depth|peak_states)")
_INSTRUCTION = re.compile(r"(\d{1,7}): \([0-9a-f]{2}\)")
_SOURCE = re.compile(r"; (.+?)(?: @ ([^@]{1,200}:\d{1,7}))?$")
_POISON = 195896080  # 0xbad2310: libbpf's mark of a relocation that failed


@dataclass(frozen=True)
class Refusal:
    """Why a program was refused: the verifier's reason, FILE:LINE and source where they are known.

    `relocation` tells that the reason is a CO-RE relocation that failed, guarded by nothing.
    """

    reason: str
    line: str = ""
    source: str = ""
    relocation: bool = False


def read(log: Sequence[str], file: BpfObject | None, program: str) -> Refusal | None:
    """Return what the log says, or None when it says nothing; texts are safe for a terminal."""
    told = [one for one in log if one.strip() and not _STATISTICS.match(one)]
    if not told:
        return None
    reason = printable(told[-1].strip(), 400)
    relocation = any(f"#{_POISON}" in one or "invalid CO-RE relocation" in one for one in told[-3:])
    source, line, number = "", "", -1
    for one in reversed(told):
        if number < 0 and (found := _INSTRUCTION.match(one)):
            number = int(found[1])
        if found := _SOURCE.match(one):
            source, line = found[1].strip(), found[2] or ""
            break
    if not line and number >= 0 and file is not None:
        line = _line(file, program, number)
    return Refusal(reason, printable(line), printable(source), relocation)


def _line(file: BpfObject, program: str, number: int) -> str:
    """Return FILE:LINE of an instruction of a program, as the object has it.

    The verifier counts from the program's start, and calls that are appended to it come behind.
    """
    one = next((one for one in file.programs if one.name == program), None)
    if one is None or file.btf is None or number >= one.count:
        return ""
    try:
        lines = Lines(file.ext, file.btf)
        return lines.line(file.code[one.section].name, one.start + number)
    except ValueError:
        return ""
