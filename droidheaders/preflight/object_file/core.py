"""What the CO-RE relocations of an object become on a kernel, and which code is reached then."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from droidheaders.kernel.btf import Btf
from droidheaders.objects.bpf import BpfObject
from droidheaders.objects.btf_ext import Lines, relocations
from droidheaders.objects.core import TYPE_ID, TYPE_LOCAL, Resolution, Resolver
from droidheaders.objects.program_sections import program_section
from droidheaders.objects.reach import reached
from droidheaders.preflight.answer import Answer, Verdict
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

_NAMED = 3  # places of one relocation that a sentence names
_RELOCATIONS = 100_000


@dataclass(frozen=True)
class Relocated:
    """The relocations of an object: all, and those that fail where a program gets to them.

    `total` counts them also when there is no kernel's BTF to resolve them with. `where` is by what
    a relocation is called, `reached` by the number of the section of code.
    """

    total: int
    all: tuple[Resolution, ...]
    failing: tuple[Resolution, ...]
    guarded: int
    where: dict[str, list[str]]
    reached: dict[int, set[int]]


def needs_kernel(file: BpfObject) -> bool:
    """Tell whether any relocation asks for a type of the kernel."""
    if not file.btf or not file.ext:
        return False
    return any(one.kind != TYPE_LOCAL for one in relocations(file.ext, file.btf))


def relocate(file: BpfObject, kernel: Btf | None, externs: dict[str, int]) -> Relocated:
    """Resolve all relocations, where there is a kernel's BTF, and follow the code.

    Raises ValueError, the end of a sentence about the object, when it is damaged.
    """
    wanted = [number for number, code in file.code.items() if not _optional(code.name)]
    resolved = _resolve(file, kernel) if file.btf and file.ext and kernel else {}
    every = _reached(file, wanted, resolved, externs)
    failing, guarded = [], 0
    where: dict[str, list[str]] = {}
    place = _Places(file)
    for (number, at), one in resolved.items():
        if number not in every:
            continue  # libbpf loads it only when it is asked to, and relocates nothing before
        if one.outcome == "missing" and at not in every[number]:
            guarded += 1
        elif one.outcome in ("missing", "refused"):
            failing.append(one)
            where.setdefault(one.what, []).append(place(number, at))
    total = sum(1 for _ in relocations(file.ext, file.btf)) if file.btf and file.ext else 0
    return Relocated(total, tuple(resolved.values()), tuple(failing), guarded, where, every)


def _optional(name: str) -> bool:
    section = program_section(name)
    return section is not None and section.optional


def _resolve(file: BpfObject, kernel: Btf) -> dict[tuple[int, int], Resolution]:
    assert file.btf
    resolver = Resolver(file.btf, kernel)
    sections = {code.name: number for number, code in file.code.items()}
    resolved: dict[tuple[int, int], Resolution] = {}
    for one in relocations(file.ext, file.btf):
        number = sections.get(one.section)
        if number is None or one.instruction >= len(file.code[number].instructions):
            raise ValueError("has a relocation of code that is not there")
        if len(resolved) >= _RELOCATIONS:
            raise ValueError(f"has more than {_RELOCATIONS} relocations")
        code = file.code[number].instructions[one.instruction].code
        resolved[number, one.instruction] = resolver.resolve(one, code)
    return resolved


def _reached(
    file: BpfObject,
    wanted: list[int],
    resolved: dict[tuple[int, int], Resolution],
    externs: dict[str, int],
) -> dict[int, set[int]]:
    values: dict[int, dict[int, int]] = {}
    for (number, at), one in resolved.items():
        if one.value is not None:
            values.setdefault(number, {})[at] = one.value
    found: dict[int, set[int]] = {number: set() for number in wanted}
    for function in (*file.programs, *file.subprograms):
        number = function.section
        if number in found:
            found[number] |= reached(file.code[number], function, values.get(number, {}), externs)
    return found


class _Places:
    """Where instructions are, for a person."""

    def __init__(self, file: BpfObject) -> None:
        self._code = file.code
        self._lines = Lines(file.ext, file.btf) if file.btf and file.ext else None
        functions = (*file.programs, *file.subprograms)
        self._functions = sorted((one.section, one.start, one.count, one.name) for one in functions)

    def __call__(self, number: int, at: int) -> str:
        """Return FUNCTION (SECTION), FILE:LINE of an instruction, as far as it is known."""
        section = self._code[number].name
        name = self._function(number, at)
        line = self._lines.line(section, at) if self._lines else ""
        place = f"{name} ({section})" if name else section
        return printable(f"{place}, {line}" if line else place, 160)

    def _function(self, number: int, at: int) -> str:
        found = bisect_right(self._functions, (number, at, 1 << 64)) - 1
        if found < 0:
            return ""
        section, start, count, name = self._functions[found]
        return name if section == number and at < start + count else ""


def answers(relocated: Relocated, target: Target) -> list[Answer]:
    """Return one answer for each thing that is missing, or one that all is there.

    What BTF made from headers lacks, the kernel's own may have, if there is one.
    """
    source = "its BTF"
    verdict: Verdict = "no"
    if target.btf is None:
        source = "BTF made from its headers"
        verdict = "no" if _has_none(target) else "unknown"
    found = {}
    for one in relocated.failing:
        places = list(dict.fromkeys(relocated.where[one.what]))
        more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
        where = "; ".join(places[:_NAMED]) + more
        because = one.because or "the kernel has no such thing"
        what = printable(one.what, 100)
        found[one.what] = Answer(
            "co-re",
            verdict,
            f"{what}: {because}, by {source}; asked for in {where}",
            "guard it with bpf_core_field_exists(), bpf_core_type_exists() or an enum's",
        )
    if found:
        return list(found.values())
    if target.btf is None and _has_none(target) and (number := _number(relocated)):
        because = f"{printable(number, 100)}: its number is one in the kernel's own BTF"
        return [Answer("co-re", "no", f"{because}, and CONFIG_DEBUG_INFO_BTF is not set")]
    guarded = f", {relocated.guarded} of them in code that is not reached" * bool(relocated.guarded)
    fitting = "the kernel's BTF" if target.btf else source
    needed = target.btf is None and _has_none(target)
    hint = "load it with that: droidheaders btf --format raw -o FILE" if needed else ""
    because = f"all {relocated.total} relocations fit {fitting}{guarded}"
    return [Answer("co-re", "yes", because, hint)]


def _has_none(target: Target) -> bool:
    """Tell whether the kernel was built without BTF of its own."""
    return target.config is not None and target.config.get("CONFIG_DEBUG_INFO_BTF") != "y"


def _number(relocated: Relocated) -> str:
    """Return what the object asks the number of, which is another in every BTF; "" for nothing."""
    return next((one.what for one in relocated.all if one.relocation.kind == TYPE_ID), "")


def without_btf(target: Target) -> Answer:
    """Return what holds of an object with relocations when the kernel's BTF is not at hand."""
    unmade = f"; {target.unmade}" if target.unmade else ""
    if target.config is None:
        return Answer(
            "co-re", "unknown", f"it needs the kernel's BTF, and nothing tells of one{unmade}"
        )
    if target.config.get("CONFIG_DEBUG_INFO_BTF") == "y":
        there = "which is on the device and not here"
        return Answer("co-re", "unknown", f"it needs the kernel's BTF, {there}{unmade}")
    return Answer(
        "co-re",
        "no",
        f"it needs the kernel's BTF, and CONFIG_DEBUG_INFO_BTF is not set{unmade}",
        "compile it with the kernel's own headers, without CO-RE, or load it with a BTF file",
    )
