"""A BPF object as clang writes it and libbpf reads it: programs, maps, helpers, licence."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from droidheaders.kernel.btf import DATASEC, Btf
from droidheaders.objects import elf
from droidheaders.objects.elf import Elf, Section, Symbol
from droidheaders.objects.maps import MapDefinition, maps_of

CALL = 0x85  # BPF_JMP | BPF_CALL
LOAD_64 = 0x18  # BPF_LD | BPF_DW | BPF_IMM: two instructions long
PSEUDO_CALL = 1  # of a function of the object; 0 is a helper, 2 (PSEUDO_KFUNC_CALL) a kfunc
_INSTRUCTIONS = 1 << 20  # the kernel follows as many of one program: BPF_COMPLEXITY_LIMIT_INSNS
_REFERENCE = struct.Struct("<QQ")  # Elf64_Rel
_FUNC = 2  # STT_FUNC
_NOTYPE = 0  # what clang before 9 called its functions
_LOCAL = 0
_DATA = (".data", ".rodata", ".bss")
# Sections of Android's own loader: bpf_helpers.h in packages/modules/Connectivity.
_ANDROID = frozenset({"progs", "bpfloader_min_ver", "bpfloader_max_ver", "size_of_bpf_prog_def"})


class Instruction(NamedTuple):
    """struct bpf_insn; `source` is src_reg, `target` dst_reg."""

    code: int
    target: int
    source: int
    offset: int
    immediate: int


@dataclass(frozen=True)
class Code:
    """An executable section, and the symbols that its instructions refer to, by their number."""

    name: str
    instructions: tuple[Instruction, ...]
    references: Mapping[int, Symbol]


@dataclass(frozen=True)
class Function:
    """A function in a section of code: `start` and `count` are instructions."""

    name: str
    section: int
    start: int
    count: int


@dataclass(frozen=True)
class Extern:
    """What the object leaves to the kernel: an option in .kconfig, a kfunc or symbol in .ksyms."""

    name: str
    section: str
    weak: bool
    type: int


@dataclass(frozen=True)
class BpfObject:
    """What an object says of itself. `version` is of its version section, None without one.

    `code` is by the number of the section. `subprograms` are what programs call.
    """

    programs: tuple[Function, ...]
    subprograms: tuple[Function, ...]
    code: Mapping[int, Code]
    maps: tuple[MapDefinition, ...]
    externs: tuple[Extern, ...]
    license: str
    version: int | None
    data: tuple[str, ...]
    btf: Btf | None
    ext: bytes
    android: bool

    def helpers(self) -> dict[int, set[str]]:
        """Return the ids of the helpers that are called, and the functions that do."""
        found: dict[int, set[str]] = {}
        for function, _, one in self.calls():
            if one.source == 0:
                found.setdefault(one.immediate, set()).add(function.name)
        return found

    def kfuncs(self) -> dict[str, set[str]]:
        """Return the kernel's functions that are called by name, and the functions that do."""
        found: dict[str, set[str]] = {}
        for function, number, one in self.calls():
            symbol = self.code[function.section].references.get(number)
            if one.source == PSEUDO_CALL and symbol and symbol.section == elf.UNDEFINED:
                found.setdefault(symbol.name, set()).add(function.name)
        return found

    def calls(self) -> Iterator[tuple[Function, int, Instruction]]:
        """Yield every call: where it is, the number of the instruction, and the instruction."""
        for function in (*self.programs, *self.subprograms):
            instructions = self.code[function.section].instructions
            for number in range(function.start, function.start + function.count):
                if instructions[number].code == CALL:
                    yield function, number, instructions[number]


def read_bpf(data: bytes) -> BpfObject:
    """Return what a BPF object has; raises ValueError, the end of a sentence about the file."""
    file = elf.read(data)
    if file.machine != elf.EM_BPF:
        raise ValueError(f"is for {elf.machine_name(file.machine)}, not a BPF object")
    if file.type != elf.REL:
        raise ValueError("is a BPF file, but no object: it is linked")
    symbols = tuple(file.symbols())
    sections = {
        number: one
        for number, one in enumerate(file.sections)
        if one.type == elf.PROGBITS and one.flags & elf.EXECINSTR and one.size
    }
    if sum(len(one.data) for one in sections.values()) > _INSTRUCTIONS * 8:
        raise ValueError(f"has more than {_INSTRUCTIONS} instructions")
    references = _references(file, sections, symbols)
    code = {number: _code(one, references.get(number, {})) for number, one in sections.items()}
    functions = tuple(_functions(symbols, code))
    # libbpf's prog_is_subprog(): .text, unless it is all there is.
    text = {number for number, one in code.items() if one.name == ".text"}
    programs = tuple(one for one in functions if one.section not in text)
    if not programs:
        programs, text = functions, set()
    btf = _btf(file)
    return BpfObject(
        programs,
        tuple(one for one in functions if one.section in text),
        code,
        maps_of(file, btf, symbols),
        tuple(_externs(btf, symbols)),
        _license(file),
        _version(file),
        tuple(one.name for one in file.sections if one.size and one.name.startswith(_DATA)),
        btf,
        bytes(file.content(".BTF.ext")),
        any(one.name in _ANDROID for one in file.sections),
    )


def _code(section: Section, references: dict[int, Symbol]) -> Code:
    if section.size % 8:
        raise ValueError("is damaged: its code is no whole number of instructions")
    instructions = tuple(
        Instruction(code, registers & 0xF, registers >> 4, offset, immediate)
        for code, registers, offset, immediate in struct.iter_unpack("<BBhi", section.data)
    )
    return Code(section.name, instructions, references)


def _references(
    file: Elf, code: Mapping[int, Section], symbols: tuple[Symbol, ...]
) -> dict[int, dict[int, Symbol]]:
    """Return by section of code which symbol an instruction refers to."""
    found: dict[int, dict[int, Symbol]] = {}
    for one in file.sections:
        if one.type != elf.SHT_REL or one.info not in code:
            continue
        of_section = found.setdefault(one.info, {})
        for at, info in elf.records(_REFERENCE, one.data):
            if at < code[one.info].size and info >> 32 < len(symbols):
                of_section[at // 8] = symbols[info >> 32]
    return found


def _functions(symbols: tuple[Symbol, ...], code: Mapping[int, Code]) -> Iterator[Function]:
    """Yield the functions; the size of one that says none is that of its section's rest."""
    last = Function("", 0, 0, 0)
    for one in sorted(symbols, key=lambda one: (one.section, one.value)):
        if one.section not in code or not one.name:
            continue
        if one.kind != _FUNC and (one.kind != _NOTYPE or one.bind == _LOCAL):
            continue
        start, whole = one.value // 8, len(code[one.section].instructions)
        count = one.size // 8 if one.size else max(whole - start, 0)
        if one.value % 8 or start + count > whole:
            raise ValueError("is damaged: a function ends behind its section")
        if last.section == one.section and start < last.start + last.count:
            if (start, count) == (last.start, last.count):
                continue  # another name of it
            raise ValueError("is damaged: its functions overlap")
        last = Function(one.name, one.section, start, count)
        yield last


def _btf(file: Elf) -> Btf | None:
    content = bytes(file.content(".BTF"))
    if not content:
        return None
    try:
        return Btf(content)
    except ValueError as e:
        raise ValueError(f"has a .BTF section that {e}") from e


def _externs(btf: Btf | None, symbols: tuple[Symbol, ...]) -> Iterator[Extern]:
    sections = dict(_extern_sections(btf)) if btf else {}
    for symbol in symbols:
        if symbol.section == elf.UNDEFINED and symbol.name:
            section, kind = sections.get(symbol.name, ("", 0))
            yield Extern(symbol.name, section, symbol.bind == elf.WEAK, kind)


def _extern_sections(btf: Btf) -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield by name of an extern which section it is of, which only BTF says, and its type."""
    for name in (".kconfig", ".ksyms"):
        for number in btf.find(name, DATASEC)[:1]:
            for kind, _, _ in btf.variables(number):
                one = btf.type(kind)
                yield one.name, (name, one.value)


def _license(file: Elf) -> str:
    return elf.text(bytes(file.content("license")[:128]).partition(b"\0")[0])


def _version(file: Elf) -> int | None:
    content = file.content("version")
    return int.from_bytes(content, "little") if len(content) == 4 else None
