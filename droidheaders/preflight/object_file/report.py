"""The report on a BPF object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from droidheaders.objects.bpf import BpfObject, read_bpf
from droidheaders.preflight.answer import Answer, Report, Verdict, worst
from droidheaders.preflight.object_file import core, externs, uses
from droidheaders.preflight.object_file.core import Relocated
from droidheaders.preflight.object_file.enums import BpfEnums
from droidheaders.preflight.object_file.licence import licence, version
from droidheaders.preflight.object_file.numbers import HELPERS, MAPS
from droidheaders.preflight.object_file.programs import attach_points, programs, sections_of
from droidheaders.preflight.program_types import PROGRAM_TYPES
from droidheaders.preflight.target import Target
from droidheaders.ui import printable


def judge(data: bytes, target: Target) -> Report:
    """Return what a kernel makes of the content of a BPF object; it raises nothing.

    facts: programs, helpers, kfuncs, maps, externs, license, btf, relocations.
    """
    try:
        file = read_bpf(data)
    except ValueError as e:
        hint = "compile it with clang --target=bpf -g -O2 -c" if "BPF" in str(e) else ""
        return _refused(Answer("format", "no", printable(str(e)), hint))
    try:
        relocated = core.relocate(file, target.btf or target.made_btf, externs.values(file, target))
        details = tuple(_answers(file, target, relocated))
        facts = _facts(file, relocated, target)
    except ValueError as e:
        because = f"its types and the kernel's cannot be compared: one {printable(str(e))}"
        return _refused(Answer("format", "no", because))
    verdict = worst(details)
    kinds = sorted({one["kind"] or "unknown" for one in facts["programs"]})
    because = next(
        (one.because for one in details if one.verdict == verdict and verdict != "yes"),
        f"{len(file.programs)} programs ({', '.join(kinds)})",
    )
    return Report(Answer("object", verdict, because), details, facts)


def asks_for_types(data: bytes) -> bool:
    """Tell whether the content of a BPF object has relocations that the kernel's types resolve."""
    try:
        return core.needs_kernel(read_bpf(data))
    except ValueError:  # `judge` says so
        return False


def _refused(answer: Answer) -> Report:
    return Report(Answer("object", "no", answer.because, answer.hint), (answer,))


def _answers(file: BpfObject, target: Target, relocated: Relocated) -> Iterator[Answer]:
    enums = BpfEnums(target)
    yield _format(file)
    yield from programs(file, target, enums)
    yield from attach_points(file, target)
    yield from uses.helpers(file, enums, relocated)
    yield from uses.kfuncs(file, target)
    yield from uses.maps(file, enums)
    yield from _btf_and_core(file, target, relocated)
    yield from externs.options(file, target)
    yield from licence(file)
    yield from version(file, target, enums)


def _format(file: BpfObject) -> Answer:
    if not file.programs:
        return Answer("format", "no", "there is no program in it")
    count = sum(len(one.instructions) for one in file.code.values())
    return Answer(
        "format", "yes", f"a BPF object: {len(file.programs)} programs, {count} instructions"
    )


def _btf_and_core(file: BpfObject, target: Target, relocated: Relocated) -> Iterator[Answer]:
    if file.btf is None:
        needs = any(
            PROGRAM_TYPES[section.kind].btf for _, _, section in sections_of(file) if section
        )
        verdict: Verdict = "risky" if needs else "yes"
        because = "there is none in it, which plain programs do not need"
        yield Answer("btf", verdict, because, "compile it with -g" if needs else "")
    elif not core.needs_kernel(file):
        yield Answer("co-re", "yes", "it asks for none of the kernel's types")
    elif target.btf is None and target.made_btf is None:
        yield core.without_btf(target)
    else:
        yield from core.answers(relocated, target)


def _facts(file: BpfObject, relocated: Relocated, target: Target) -> dict[str, Any]:
    return {
        "programs": [
            {
                "name": printable(one.name),
                "section": printable(name),
                "kind": section.kind if section else "",
                "instructions": one.count,
            }
            for one, name, section in sections_of(file)
        ],
        "helpers": sorted(
            f"bpf_{HELPERS[number][0]}" if number in HELPERS else str(number)
            for number in file.helpers()
        ),
        "kfuncs": sorted(map(printable, file.kfuncs())),
        "maps": [
            {
                "name": printable(one.name),
                "type": MAPS.get(one.type, (str(one.type),))[0].lower(),
                "key_size": one.key_size,
                "value_size": one.value_size,
                "max_entries": one.max_entries,
            }
            for one in file.maps
        ],
        "externs": sorted(printable(one.name) for one in file.externs),
        "license": printable(file.license),
        "btf": file.btf is not None,
        "relocations": {"by": _source(target), **_relocations(relocated)},
    }


def _source(target: Target) -> str | None:
    """Return whose BTF relocations were resolved with."""
    if target.btf is not None:
        return "kernel"
    return "headers" if target.made_btf is not None else None


def _relocations(relocated: Relocated) -> dict[str, Any]:
    return {
        "total": relocated.total,
        "found": sum(one.outcome == "found" for one in relocated.all),
        "absent": sum(one.outcome == "absent" for one in relocated.all),
        "guarded": relocated.guarded,
        "failing": [
            {"what": printable(what), "where": list(dict.fromkeys(places))}
            for what, places in relocated.where.items()
        ],
    }
