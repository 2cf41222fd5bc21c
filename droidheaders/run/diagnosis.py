"""Why a run failed before it began: one sentence, and what to type or to change next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from droidheaders.objects.bpf import BpfObject
from droidheaders.objects.program_sections import program_section
from droidheaders.preflight.answer import Report
from droidheaders.preflight.privilege import CAPABILITIES, ROOT_HINT
from droidheaders.run import attach_points, evidence, verifier
from droidheaders.run.evidence import Evidence
from droidheaders.run.observing import Observed
from droidheaders.run.verdict import Verdict
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device, Root
    from droidheaders.kernel.log import Denial

_ASK = "ask `droidheaders check --probe`, or see libbpf's own words with --json"
_AS_ROOT = f"run it as root (--user root); where there is none, {ROOT_HINT}"
_TAIL = 12  # lines of a log that are shown
_EPERM, _ENOENT, _ESRCH, _EACCES, _EINVAL = 1, 2, 3, 13, 22
_PROBES = ("kprobe", "kretprobe", "ksyscall")
_ON_FUNCTIONS = ("fentry", "fexit", "fmod_ret")
_ON_EVENTS = ("tracepoint", "raw_tp", "raw_tp.w", "tp_btf")


@dataclass(frozen=True)
class Case:
    """A run that failed: where, with which object, as whom, and what there is to ask.

    `kernel` names the kernel and the device. `judge` says what `check` would, after a round trip.
    """

    kernel: str
    file: BpfObject
    user: Device | Root
    seen: Observed
    judge: Callable[[], Report]

    @property
    def stage(self) -> str:
        """Where it failed: open, btf, set, map, load, attach or run."""
        return _word(self.seen, "stage")

    @property
    def program(self) -> str:
        """The program that failed, or ""."""
        return _word(self.seen, "program")

    @property
    def section(self) -> str:
        """The program's section, or ""."""
        return _word(self.seen, "section")

    @property
    def errno(self) -> int:
        """The errno."""
        return self.seen.error["errno"] if self.seen.error else 0

    @property
    def message(self) -> str:
        """What the loader said."""
        return _word(self.seen, "message").rstrip(".")


def diagnose(case: Case) -> Verdict:
    """Return the verdict on a run whose loader gave up; raises what asking the device raises."""
    if case.stage in ("set", "map", "open"):
        return Verdict("fail", f"{case.message}, of the object on {case.kernel}", "", _log(case))
    if case.stage in ("load", "btf") and (refusal := _refused(case)):
        return refusal
    if case.stage == "btf":
        return Verdict(
            "skip",
            f"{case.kernel} has no types of its own (BTF), by which the object is relocated",
            "droidheaders pull, then run it again: they are made from the kernel's headers",
        )
    if case.errno in (_EPERM, _EACCES):
        return _denied(case, evidence.gather(case.user))
    if case.stage in ("attach", "load") and (missing := _nothing_to_attach_to(case)):
        return missing
    return _by_preflight(case) or _otherwise(case)


def _otherwise(case: Case) -> Verdict:
    """Return the kernel's own word, and what `check` is not sure of."""
    unsure = [one for one in case.judge().details if one.verdict in ("unknown", "risky")]
    because = f"; {unsure[0].because}" if unsure else ""
    hint = next((one.hint for one in unsure if one.hint), "")
    return Verdict("fail", _plainly(case) + because, hint or _ASK, _log(case))


def _plainly(case: Case) -> str:
    what = f"{case.program} ({case.section})" if case.section else case.program or "the object"
    did = {
        "open": "cannot be opened",
        "load": "was not loaded",
        "attach": "was not attached",
    }.get(case.stage, "failed")
    name = _word(case.seen, "error") or f"errno {case.errno}"
    said = f": {case.message}" if case.message else ""
    return f"{what} {did} on {case.kernel}: {name}{said}"


def _refused(case: Case) -> Verdict | None:
    """Return what the verifier has against a program, None when it has said nothing."""
    refusal = verifier.read(tuple(case.seen.verifier), case.file, case.program)
    if refusal is None:
        return None
    by_preflight = _by_preflight(case)
    if by_preflight:  # a helper or a field that this kernel lacks is no fault of the program
        return Verdict("skip", by_preflight.message, by_preflight.hint, _log(case))
    if refusal.relocation:
        return Verdict(
            "skip",
            f"{case.program} reads what the types of {case.kernel} do not have"
            f"{_at(refusal.line)}: {refusal.source or refusal.reason}",
            "guard it with bpf_core_field_exists(), or see `droidheaders check` on the object",
            _log(case),
        )
    source = f", in `{refusal.source}`" if refusal.source else ""
    return Verdict(
        "fail",
        f"the verifier of {case.kernel} refuses {case.program}{_at(refusal.line)}:"
        f" {refusal.reason}{source}",
        "its last words are above; all of them come with --json",
        _log(case),
    )


def _at(line: str) -> str:
    return f" at {line}" if line else ""


def _log(case: Case) -> tuple[str, ...]:
    lines = case.seen.verifier or case.seen.libbpf
    return tuple(list(lines)[-_TAIL:])


def _denied(case: Case, found: Evidence) -> Verdict:
    """Tell lack of privilege from SELinux: EPERM or EACCES, and no word of the verifier's."""
    what = case.program or "the object"
    if found.enforcing and (found.denials or (case.errno == _EACCES and found.uid != 0)):
        denied = _denial(found.denials[-1]) if found.denials else f"it is {found.context}"
        return Verdict("infra", f"SELinux keeps {what} away from {case.kernel}: {denied}", _AS_ROOT)
    if found.lockdown and found.uid == 0 and case.errno == _EPERM:
        return Verdict(
            "infra",
            f"{case.kernel} is locked down ({found.lockdown}), which keeps {what} away",
            "boot it without lockdown=",
        )
    lacking = [
        name
        for name in ("CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN")
        if not found.caps >> CAPABILITIES[name] & 1
    ]
    who = f"uid {found.uid}" if found.uid >= 0 else "this user"
    if lacking:
        disabled = (
            f", and kernel.unprivileged_bpf_disabled is {found.unprivileged}"
            if found.unprivileged not in ("", "0")
            else ""
        )
        return Verdict(
            "infra",
            f"{who} may not do this on {case.kernel}: it lacks {', '.join(lacking)}{disabled}",
            _AS_ROOT,
        )
    return _nothing_to_attach_to(case) or _by_preflight(case) or _otherwise(case)


def _denial(one: Denial) -> str:
    return (
        f"denied {{ {printable(' '.join(one.permissions))} }} for {printable(one.scontext)} on"
        f" {printable(one.tclass)} {printable(one.tcontext)}"
    )


def _nothing_to_attach_to(case: Case) -> Verdict | None:
    """Return what is wrong with the place that a program is attached to, None when nothing is."""
    section = program_section(case.section)
    if section is None or not section.target or case.errno not in (_ENOENT, _EINVAL, _ESRCH):
        return None
    target = section.target.partition("+")[0]
    if section.kind in _PROBES or section.kind in _ON_FUNCTIONS:
        missing = attach_points.function(case.user, target)
    elif section.kind in _ON_EVENTS:
        missing = attach_points.event(case.user, target.replace("/", ":"))
    elif section.kind.startswith("uprobe"):
        missing = attach_points.user_function(case.user, target)
    else:
        return None
    hint = (
        f"did you mean {' or '.join(missing.near)}?"
        if missing.near
        else "name another in the section of the program: SEC(...)"
    )
    return Verdict(
        "fail",
        f"{case.program} cannot be attached to {printable(target)} on {case.kernel}:"
        f" {missing.because}",
        hint,
        _log(case) if case.stage == "load" else (),
    )


def _by_preflight(case: Case) -> Verdict | None:
    """Return what `check` knows the kernel to lack, None when it knows of nothing."""
    report = case.judge()
    if report.answer.verdict != "no":
        return None
    hint = next((one.hint for one in report.details if one.verdict == "no" and one.hint), "")
    return Verdict(
        "skip",
        f"{case.kernel} cannot run this: {report.answer.because}",
        hint or "see `droidheaders check` on the object",
    )


def _word(seen: Observed, name: Literal["stage", "program", "section", "error", "message"]) -> str:
    value = seen.error[name] if seen.error else None
    return printable(value, 400) if value else ""
