"""Whether a kernel takes the programs of a BPF object, and has what they are attached to."""

from __future__ import annotations

from collections.abc import Iterator

from droidheaders.objects.bpf import BpfObject, Function
from droidheaders.objects.program_sections import ProgramSection, program_section
from droidheaders.preflight.answer import Answer, Verdict
from droidheaders.preflight.asking import lsm_runs_bpf
from droidheaders.preflight.object_file.enums import BpfEnums
from droidheaders.preflight.program_types import (
    PROGRAM_TYPES,
    Options,
    ProgramType,
    unmet,
    without_trampoline,
)
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

_SLEEPABLE_SINCE = (5, 10)  # BPF_F_SLEEPABLE, 1e6c62a88215
_SUBPROGRAMS_SINCE = (4, 16)  # cc8b0b92a169
# The prefix of a system call's function: SYSCALL_WRAPPER of arch/*/include/asm.
_SYSCALLS = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_", "riscv64": "__riscv_sys_"}


def sections_of(file: BpfObject) -> list[tuple[Function, str, ProgramSection | None]]:
    """Return each program, the name of its section, and what that means."""
    names = [file.code[one.section].name for one in file.programs]
    return [
        (one, name, program_section(name)) for one, name in zip(file.programs, names, strict=True)
    ]


def programs(file: BpfObject, target: Target, enums: BpfEnums) -> Iterator[Answer]:
    """Yield an answer for each kind of program, and for each section that is none."""
    seen: dict[str, list[ProgramSection]] = {}
    for _, name, section in sections_of(file):
        if section and section.optional:
            continue
        if section:
            seen.setdefault(section.kind, []).append(section)
        else:
            yield _unknown_section(file, name)
    for kind, found in seen.items():
        yield _kind(PROGRAM_TYPES[kind], found, target, enums)
    if file.subprograms and enums.release and enums.release < _SUBPROGRAMS_SINCE:
        yield Answer("programs", "no", "its functions call one another, which came with 4.16")


def _unknown_section(file: BpfObject, name: str) -> Answer:
    called = printable(name, 60)
    if file.android:
        return Answer(
            "programs", "unknown", f"section {called} is for Android's own bpfloader, not libbpf"
        )
    return Answer(
        "programs",
        "unknown",
        f"section {called} is no name that libbpf knows",
        "name it after its type, such as kprobe/FUNCTION, or set the type in the loader",
    )


def _kind(
    kind: ProgramType, sections: list[ProgramSection], target: Target, enums: BpfEnums
) -> Answer:
    verdict: Verdict = "yes"
    reasons = []
    for found, reason in (
        *_type(kind, sections, enums),
        *_options(kind, target),
        *_btf(kind, target),
        *_trampoline(kind, target),
        *_lsm(kind, target),
    ):
        if verdict == "yes" or (found == "no" and verdict != "no"):
            verdict, reasons = found, [reason]
        elif found == verdict:
            reasons.append(reason)
    if verdict == "yes":
        reasons = [f"the kernel has the type, {enums.source('bpf_prog_type')}".rstrip(", ")]
    return Answer("programs", verdict, f"{kind.name}: {'; '.join(reasons)}")


def _type(
    kind: ProgramType, sections: list[ProgramSection], enums: BpfEnums
) -> Iterator[tuple[Verdict, str]]:
    since = f"it came with {kind.since[0]}.{kind.since[1]}"
    has = enums.has("bpf_prog_type", kind.enumerator, kind.since)
    if has is None:
        yield "unknown", f"nothing tells whether the kernel has {kind.enumerator}: {since}"
    elif not has:
        source = enums.source("bpf_prog_type")
        yield "no", f"the kernel has no {kind.enumerator}, {source}: {since}"
    attaches = {one.attach for one in sections if one.attach}
    known = enums.enum("bpf_attach_type")
    for attach in sorted(attaches):
        if known and attach not in known:
            yield "no", f"the kernel has no {attach}, {enums.source('bpf_attach_type')}"
        elif not known and attach == kind.attach and (enums.release or kind.since) < kind.since:
            yield "no", f"the kernel has no {attach}: {since}"
    sleepable = any(one.sleepable for one in sections)
    if sleepable and enums.release and enums.release < _SLEEPABLE_SINCE:
        yield "no", "programs that sleep (.s) came with 5.10"


def _options(kind: ProgramType, target: Target) -> Iterator[tuple[Verdict, str]]:
    needs: Options = (("CONFIG_BPF_SYSCALL",), *kind.config, *kind.attach_config)
    if target.config is None:
        yield "unknown", "without its configuration nothing tells whether it is built in"
        return
    for names in unmet(target.config, needs):
        yield "no", f"{names[0]} is not set"


def _btf(kind: ProgramType, target: Target) -> Iterator[tuple[Verdict, str]]:
    config = target.config
    if not kind.btf or target.btf is not None or config is None:
        return
    if config.get("CONFIG_DEBUG_INFO_BTF") != "y":
        made = "; one made from headers does not do" if target.made_btf else ""
        yield "no", f"it needs the kernel's own BTF, and CONFIG_DEBUG_INFO_BTF is not set{made}"


def _trampoline(kind: ProgramType, target: Target) -> Iterator[tuple[Verdict, str]]:
    if not kind.trampoline:
        return
    lacking = without_trampoline(target.kernel)
    if lacking is None:
        yield "unknown", "nothing tells whether the kernel has BPF trampolines"
    elif lacking:
        yield "no", lacking


def _lsm(kind: ProgramType, target: Target) -> Iterator[tuple[Verdict, str]]:
    if kind.enumerator == "BPF_PROG_TYPE_LSM" and lsm_runs_bpf(target) is False:
        yield "risky", "it is called only when the kernel was booted with bpf in lsm="


def attach_points(file: BpfObject, target: Target) -> Iterator[Answer]:
    """Yield an answer for each thing that a program is attached to and the kernel lacks."""
    for name in dict.fromkeys(name for _, name, _ in sections_of(file)):
        section = program_section(name)
        if section and section.target and not section.optional:
            yield from _attach_point(section, printable(name, 80), target)


def _attach_point(section: ProgramSection, name: str, target: Target) -> Iterator[Answer]:
    what, btf = section.target, target.btf
    if section.kind == "tracepoint" and what.startswith("syscalls/") and target.config:
        if target.config.get("CONFIG_FTRACE_SYSCALLS") != "y":
            yield Answer("attach", "no", f"{name}: CONFIG_FTRACE_SYSCALLS is not set")
        return
    if btf is None or any(letter in what for letter in "*?:"):  # a pattern, or MODULE:FUNCTION
        return
    if section.kind in ("lsm", "lsm_cgroup"):
        if not btf.has_function(f"bpf_lsm_{what}"):
            yield Answer("attach", "no", f"{name}: the kernel has no such hook, by its BTF")
    elif section.kind == "iter":
        if not btf.has_function(f"bpf_iter_{what}"):
            yield Answer("attach", "no", f"{name}: the kernel has no such iterator, by its BTF")
    elif section.kind == "ksyscall":
        prefix = _SYSCALLS.get(target.kernel.machine)
        if prefix and not btf.has_function(prefix + what):
            yield Answer("attach", "no", f"{name}: the kernel has no {prefix}{printable(what, 60)}")
    elif not _is_there(section.kind, what, target):
        because = f"{name}: there is none in vmlinux, by its BTF; a module may have it"
        yield Answer("attach", "unknown", because)


def _is_there(kind: str, what: str, target: Target) -> bool:
    """Tell whether vmlinux has a function or a tracepoint, true also of what BTF cannot tell."""
    assert target.btf
    if kind in ("kprobe", "kretprobe", "fentry", "fexit", "fmod_ret"):
        return target.btf.has_function(what.partition("+")[0])
    if kind in ("tracepoint", "raw_tp", "raw_tp.w", "tp_btf"):
        # include/trace/bpf_probe.h has a typedef for each; not of system calls.
        event = what.rpartition("/")[2]
        return bool(target.btf.find(f"btf_trace_{event}"))
    return True
