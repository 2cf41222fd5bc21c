"""Whose registers a BPF object reads: struct pt_regs differs from one architecture to the next.

A program that is compiled with __TARGET_ARCH_x86 loads on arm64, and reads other registers there
than it means, without a word from the verifier. The object's BTF has the structure where it is a
function's parameter, as of BPF_KPROBE(), or a member of it is relocated.
"""

from __future__ import annotations

from droidheaders.kernel.btf import STRUCT, UNION, Btf
from droidheaders.kernel.identity import SRCARCH
from droidheaders.objects.bpf import BpfObject, Code, Function
from droidheaders.objects.program_sections import program_section

# Members that only one architecture has: arch/*/include/asm/ptrace.h and its uapi.
_MEMBERS = {"di": "x86_64", "rdi": "x86_64", "pstate": "aarch64", "a0": "riscv64"}
_TYPES = ("pt_regs", "user_pt_regs", "user_regs_struct")
_KINDS = ("kprobe", "kretprobe", "kprobe.multi", "ksyscall", "uprobe", "uprobe.multi", "perf_event")
_LOAD, _CLASS, _MOVE = 0x61 & 0x07, 0x07, 0xBF  # BPF_LDX; BPF_ALU64 | BPF_MOV | BPF_X
_CALLER_SAVED = {1, 2, 3, 4, 5}


def registers_of(file: BpfObject, machine: str) -> str:
    """Return the machine whose registers the object's probes read, if not `machine`'s, or ""."""
    theirs = _machine(file.btf) if file.btf else ""
    if not theirs or machine not in SRCARCH or theirs == machine:
        return ""
    for one in file.programs:
        code = file.code[one.section]
        section = program_section(code.name)
        if section and section.kind in _KINDS and _reads_context(code, one):
            return theirs
    return ""


def _machine(btf: Btf) -> str:
    """Return the one machine that the object's registers are of, "" when nothing tells."""
    found = {
        _MEMBERS[member.name]
        for name in _TYPES
        for number in btf.find(name, STRUCT)
        for member in btf.members(number)
        if member.name in _MEMBERS and btf.type(number).kind in (STRUCT, UNION)
    }
    return found.pop() if len(found) == 1 else ""


def _reads_context(code: Code, program: Function) -> bool:
    """Tell whether the program loads something through its context, in r1 or a copy of it."""
    holders = {1}
    for number in range(program.start, program.start + program.count):
        one = code.instructions[number]
        if one.code & _CLASS == _LOAD and one.source in holders:
            return True
        if one.code == _MOVE and one.source in holders:
            holders.add(one.target)
        elif one.code & _CLASS in (0x00, _LOAD, 0x04, 0x07):  # it writes its target
            holders.discard(one.target)
        elif one.code == 0x85:
            holders -= _CALLER_SAVED
    return False
