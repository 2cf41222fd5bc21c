"""Whether a BPF object would be loaded by a kernel, before it is pushed there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from droidheaders.kernel.btf import INT, Btf
from droidheaders.objects.bpf import BpfObject, read_bpf
from droidheaders.preflight import object_core
from droidheaders.preflight.answer import Answer, Report, Verdict, worst
from droidheaders.preflight.bpf_enums import BpfEnums
from droidheaders.preflight.bpf_numbers import GPL_COMPATIBLE, GPL_ONLY, HELPERS, MAPS, Release
from droidheaders.preflight.object_core import Relocated
from droidheaders.preflight.object_programs import attach_points, programs, sections_of
from droidheaders.preflight.program_types import PROGRAM_TYPES
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

_GLOBAL_DATA_SINCE = (5, 2)  # d8eca5bbb2be
_ANY_VERSION_SINCE = (5, 0)  # 6c4fc209fcf9: kern_version is not compared any more
# What libbpf knows without the configuration: bpf_object__resolve_externs().
_VIRTUAL = frozenset({"LINUX_KERNEL_VERSION", "LINUX_HAS_BPF_COOKIE", "LINUX_HAS_SYSCALL_WRAPPER"})


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
        relocated = object_core.relocate(file, target.btf, _values(file, target))
        details = tuple(_answers(file, target, relocated))
        facts = _facts(file, relocated)
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


def _refused(answer: Answer) -> Report:
    return Report(Answer("object", "no", answer.because, answer.hint), (answer,))


def _answers(file: BpfObject, target: Target, relocated: Relocated) -> Iterator[Answer]:
    enums = BpfEnums(target)
    yield _format(file)
    yield from programs(file, target, enums)
    yield from attach_points(file, target)
    yield from _helpers(file, enums, relocated)
    yield from _kfuncs(file, target)
    yield from _maps(file, enums)
    yield from _btf_and_core(file, target, relocated)
    yield from _kconfig(file, target)
    yield from _license(file)
    yield from _version(file, target, enums)


def _format(file: BpfObject) -> Answer:
    if not file.programs:
        return Answer("format", "no", "there is no program in it")
    count = sum(len(one.instructions) for one in file.code.values())
    return Answer(
        "format", "yes", f"a BPF object: {len(file.programs)} programs, {count} instructions"
    )


def _helpers(file: BpfObject, enums: BpfEnums, relocated: Relocated) -> Iterator[Answer]:
    """Yield what the kernel lacks of the helpers that are called in code which is reached."""
    called = _called(file, relocated)
    has = {number: _has(number, HELPERS, "bpf_func_id", enums) for number in called}
    if None in has.values():
        yield Answer("helpers", "unknown", "nothing tells which helpers the kernel has")
    source = enums.source("bpf_func_id")
    for number in (number for number in called if has[number] is False):
        name, since = HELPERS.get(number, ("", (0, 0)))
        came = f": it came with {since[0]}.{since[1]}" if name else ""
        by = printable(", ".join(sorted(called[number])[:3]), 80)
        what = f"bpf_{name}" if name else f"helper {number}"
        yield Answer("helpers", "no", f"{by} calls {what}, which is not there, {source}{came}")
    if called and all(has.values()):
        yield Answer("helpers", "yes", f"the kernel has all {len(called)}, {source}")


def _has(
    number: int, table: Mapping[int, tuple[str, Release]], enum: str, enums: BpfEnums
) -> bool | None:
    """Tell whether the kernel has a helper or a type of maps; None when nothing tells."""
    known = enums.enum(enum)
    if known:
        return number in known.values()
    if number not in table:
        return None
    return None if enums.release is None else enums.release >= table[number][1]


def _called(file: BpfObject, relocated: Relocated) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for function, number, one in file.calls():
        if one.source == 0 and number in relocated.reached.get(function.section, ()):
            found.setdefault(one.immediate, set()).add(function.name)
    return found


def _kfuncs(file: BpfObject, target: Target) -> Iterator[Answer]:
    weak = {one.name for one in file.externs if one.weak}
    for name, users in file.kfuncs().items():
        by = printable(", ".join(sorted(users)[:3]), 80)
        what = f"{by} calls the kernel's {printable(name, 60)}"
        if target.btf is None:
            yield Answer("kfuncs", "unknown", f"{what}, which only the kernel's BTF tells of")
        elif not target.btf.has_function(name) and name not in weak:
            because = f"{what}, which is not in vmlinux, by its BTF; a module may have it"
            yield Answer("kfuncs", "unknown", because)


def _maps(file: BpfObject, enums: BpfEnums) -> Iterator[Answer]:
    has = [(one, _has(one.type, MAPS, "bpf_map_type", enums)) for one in file.maps]
    source = enums.source("bpf_map_type")
    for one in (one for one, there in has if there is False):
        name, since = MAPS.get(one.type, (f"of type {one.type}", (0, 0)))
        came = f": it came with {since[0]}.{since[1]}" if one.type in MAPS else ""
        because = f"{printable(one.name, 60)} is a map {name}, which is not there"
        yield Answer("maps", "no", f"{because}, {source}{came}")
    if any(there is None for _, there in has):
        yield Answer(
            "maps", "unknown", "nothing tells whether the kernel has all types of its maps"
        )
    if any(one.legacy for one in file.maps):
        because = "it defines maps in a section maps: libbpf refuses that since 1.0"
        yield Answer("maps", "risky", because, "define them with BTF, in a section .maps")
    elif has and all(there for _, there in has):
        yield Answer("maps", "yes", f"the kernel has the types of all {len(has)}, {source}")
    if file.data and enums.release and enums.release < _GLOBAL_DATA_SINCE:
        names = printable(", ".join(file.data), 80)
        yield Answer("maps", "no", f"it has variables ({names}), which came with 5.2")


def _btf_and_core(file: BpfObject, target: Target, relocated: Relocated) -> Iterator[Answer]:
    if file.btf is None:
        needs = any(
            PROGRAM_TYPES[section.kind].btf for _, _, section in sections_of(file) if section
        )
        verdict: Verdict = "risky" if needs else "yes"
        because = "there is none in it, which plain programs do not need"
        yield Answer("btf", verdict, because, "compile it with -g" if needs else "")
    elif not object_core.needs_kernel(file):
        yield Answer("co-re", "yes", "it asks for none of the kernel's types")
    elif target.btf is None:
        yield object_core.without_btf(target)
    else:
        yield from object_core.answers(relocated)


def _kconfig(file: BpfObject, target: Target) -> Iterator[Answer]:
    """libbpf reads lines NAME=VALUE only: what is not set is not there for it."""
    for one in file.externs:
        if one.section != ".kconfig" or one.weak or one.name in _VIRTUAL:
            continue
        name = printable(one.name, 60)
        if target.config is None:
            yield Answer("kconfig", "unknown", f"it asks for {name}, and there is no configuration")
        elif target.config.get(one.name, "n") == "n":
            yield Answer(
                "kconfig", "no", f"it asks for {name}, which is not set", "declare it __weak"
            )


def _values(file: BpfObject, target: Target) -> dict[str, int]:
    """Return the externs of .kconfig that are known: set_kcfg_value_*() in libbpf.c."""
    found = {}
    for one in file.externs:
        if one.section != ".kconfig":
            continue
        if one.name == "LINUX_KERNEL_VERSION":
            if code := _version_code(target):
                found[one.name] = code
        elif one.name.startswith("CONFIG_") and target.config is not None:
            value = _value(target.config.get(one.name, "n"), file.btf, one.type)
            if value is not None:
                found[one.name] = value
    return found


def _value(text: str, btf: Btf | None, number: int) -> int | None:
    if text in ("n", "y", "m"):
        kind = btf.type(btf.plain(number)) if btf else None
        if kind and kind.kind == INT and kind.value == 1 and kind.name == "char":
            return 0 if text == "n" else ord(text)
        return "nym".index(text)
    try:
        return int(text, 0)
    except ValueError:
        return None


def _version_code(target: Target) -> int:
    """Return LINUX_VERSION_CODE, 0 when unclear; 9b82f13e7ef3 and its backports stop at 255."""
    found = re.match(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,5}))?", target.kernel.release, re.ASCII)
    if not found:
        return 0
    return int(found[1]) << 16 | int(found[2]) << 8 | min(int(found[3] or 0), 255)


def _license(file: BpfObject) -> Iterator[Answer]:
    called = printable(file.license, 60)
    if file.license in GPL_COMPATIBLE:
        yield Answer("license", "yes", called)
        return
    what = f"its license is {called!r}" if file.license else "it has no license"
    names = sorted(
        f"bpf_{HELPERS[number][0]}"
        for number in file.helpers()
        if HELPERS.get(number, ("",))[0] in GPL_ONLY
    )
    kinds = sorted(
        {s.kind for _, _, s in sections_of(file) if s and s.kind in ("lsm", "struct_ops")}
    )
    if names or kinds:
        needs = ", ".join((*names[:6], *(f"{kind} programs" for kind in kinds)))
        hint = 'add: char LICENSE[] SEC("license") = "GPL";'
        yield Answer("license", "no", f"{what}, and {needs} need one compatible with the GPL", hint)
    else:
        yield Answer("license", "yes", f"{what}, and none that it uses is known to need the GPL")


def _version(file: BpfObject, target: Target, enums: BpfEnums) -> Iterator[Answer]:
    """Before 5.0, bpf_prog_load() compared the version of kprobes with the kernel's."""
    probes = any(
        PROGRAM_TYPES[section.kind].enumerator == "BPF_PROG_TYPE_KPROBE"
        for _, _, section in sections_of(file)
        if section
    )
    if not probes or file.version is None or not enums.release:
        return
    if enums.release < _ANY_VERSION_SINCE and file.version != _version_code(target):
        made = f"{file.version >> 16}.{file.version >> 8 & 0xFF}.{file.version & 0xFF}"
        because = f"its version section is of {made}, and a kernel before 5.0 takes only its own"
        yield Answer("version", "no", because, "leave the section out: libbpf fills it in")


def _facts(file: BpfObject, relocated: Relocated) -> dict[str, Any]:
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
        "relocations": {
            "total": relocated.total,
            "found": sum(one.outcome == "found" for one in relocated.all),
            "absent": sum(one.outcome == "absent" for one in relocated.all),
            "guarded": relocated.guarded,
            "failing": [
                {"what": printable(what), "where": list(dict.fromkeys(places))}
                for what, places in relocated.where.items()
            ],
        },
    }
