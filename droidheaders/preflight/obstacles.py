"""What keeps a kind of BPF program from being loaded, or from running once it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from droidheaders.kernel.inquiry import TRACEFS, User
from droidheaders.kernel.probe import BTF
from droidheaders.preflight.asking import lsm_runs_bpf
from droidheaders.preflight.facts import Facts
from droidheaders.preflight.privilege import ROOT_HINT, confined, lacking, who
from droidheaders.preflight.program_types import (
    CAPABILITIES_SINCE,
    UNPRIVILEGED,
    Options,
    ProgramType,
    unmet,
    without_trampoline,
)

# What is there when an option is on, where no configuration tells.
_EVIDENCE = {
    "CONFIG_KPROBE_EVENTS": "kprobe_events",
    "CONFIG_KPROBE_EVENT": "kprobe_events",
    "CONFIG_UPROBE_EVENTS": "uprobe_events",
    "CONFIG_UPROBE_EVENT": "uprobe_events",
}
# Attached through perf's own PMU since 4.17 (e12f03d7031a), through files in tracefs before; a
# tracepoint's number is in tracefs only.
_PMU_SINCE = (4, 17)
_OLD = ("CAP_SYS_ADMIN",)
_LOCKED = ("kprobe", "kretprobe", "tracepoint")  # LOCKDOWN_KPROBES and _TRACEFS: confidentiality


@dataclass(frozen=True)
class Obstacle:
    """What stands in the way, and what to do about it.

    `loads` tells that it only keeps the program from running. Where `known` is False it is not
    known whether there is one, and `why` says so.
    """

    why: str
    hint: str = ""
    loads: bool = False
    known: bool = True


def obstacle(facts: Facts, kind: ProgramType, user: User | None) -> Obstacle | None:
    """Return the first thing that keeps such a program of `user` from running, None for nothing.

    One that is certain comes before one that is not, and what keeps it from loading first of all.
    """
    found = list(_obstacles(facts, kind, user))
    return min(found, key=lambda one: (not one.known, one.loads), default=None)


def _obstacles(facts: Facts, kind: ProgramType, user: User | None) -> Iterator[Obstacle]:
    checks = [_syscall(facts), _age(facts, kind), _missing(facts, kind.config)]
    checks += [_types(facts, kind), _trampoline(facts, kind), _unattached(facts, kind)]
    checks += [_privilege(facts, kind, user), _locked(facts, kind), _mounted(facts, kind)]
    checks.append(_inactive(facts, kind))
    yield from (check for check in checks if check is not None)


def _syscall(facts: Facts) -> Obstacle | None:
    value = facts.option("BPF_SYSCALL")
    if value == "n":
        return Obstacle("CONFIG_BPF_SYSCALL is not set: this kernel has no bpf(2)")
    if value is None and "unprivileged_bpf_disabled" not in facts.target.switches:
        return Obstacle(f"the configuration is unknown: {facts.config_problem}", known=False)
    return None


def _age(facts: Facts, kind: ProgramType) -> Obstacle | None:
    version = facts.target.kernel.number
    if version is None:
        return Obstacle(
            f"the release says no version, and it takes {_dotted(kind.since)}", known=False
        )
    if version < kind.since:
        return Obstacle(f"came with Linux {_dotted(kind.since)}, and this is {_dotted(version)}")
    return None


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _unattached(facts: Facts, kind: ProgramType) -> Obstacle | None:
    found = _missing(facts, kind.attach_config)
    if found is None or not found.known:
        return found
    return Obstacle(f"{found.why}: one loads, and cannot be attached", loads=True)


def _missing(facts: Facts, options: Options) -> Obstacle | None:
    absent = unmet(facts.target.config, options)
    if absent and facts.target.config is not None:
        return Obstacle(f"{absent[0][0]} is not set")
    if all(any(_seen(facts, name) for name in names) for names in absent):
        return None
    return Obstacle(f"the configuration is unknown: {facts.config_problem}", known=False)


def _seen(facts: Facts, option: str) -> bool:
    """Tell whether what an option brings is there."""
    if facts.inquiry is None or option not in _EVIDENCE:
        return False
    return any(facts.inquiry.has(f"{root}/{_EVIDENCE[option]}") for root in TRACEFS)


def _types(facts: Facts, kind: ProgramType) -> Obstacle | None:
    """Its own BTF: libbpf finds there what such a program attaches to."""
    if not kind.btf:
        return None
    if facts.inquiry is not None and facts.inquiry.has(BTF):
        return None
    value = facts.option("DEBUG_INFO_BTF")
    if value == "y" and facts.inquiry is None:
        return None
    if value == "y":
        return Obstacle(f"the kernel's BTF is needed, and {BTF} is not there")
    if value == "n":
        return Obstacle("the kernel's own BTF is needed, and CONFIG_DEBUG_INFO_BTF is not set")
    return Obstacle(f"the kernel's own BTF is needed, and {BTF} was not seen", known=False)


def _trampoline(facts: Facts, kind: ProgramType) -> Obstacle | None:
    why = without_trampoline(facts.target.kernel) if kind.trampoline else ""
    if why is None:
        return Obstacle("nothing tells whether it has BPF trampolines", loads=True, known=False)
    return Obstacle(f"{why}: one loads, and cannot be attached", loads=True) if why else None


def _privilege(facts: Facts, kind: ProgramType, user: User | None) -> Obstacle | None:
    if user is None or facts.inquiry is None:
        return None
    if domain := confined(facts.inquiry, user):
        why = f"SELinux lets {domain} load no program"
    else:
        version = facts.target.kernel.number
        needed = kind.capabilities if version and version >= CAPABILITIES_SINCE else _OLD
        free = kind.enumerator in UNPRIVILEGED and _unprivileged(facts)
        missing = [] if free else lacking(user, needed)
        if not missing:
            return _attaching(kind, user)
        why = f"{who(user)} has no {' and no '.join(missing)}"
    return Obstacle(why, ROOT_HINT)


def _attaching(kind: ProgramType, user: User) -> Obstacle | None:
    """Whoever may load one for a control group: bpf_prog_attach() asks again."""
    if kind.name == "cgroup_skb" and lacking(user, ["CAP_NET_ADMIN"]):
        why = f"{who(user)} has no CAP_NET_ADMIN: one loads, and cannot be attached"
        return Obstacle(why, ROOT_HINT, loads=True)
    return None


def _unprivileged(facts: Facts) -> bool:
    """Tell whether bpf(2) takes anything from anybody: the switch, else its default."""
    switch = facts.target.switches.get("unprivileged_bpf_disabled")
    if switch is not None:
        return switch == "0"
    return facts.option("BPF_UNPRIV_DEFAULT_OFF") == "n"


def _locked(facts: Facts, kind: ProgramType) -> Obstacle | None:
    if kind.name in _LOCKED and "[confidentiality]" in facts.target.switches.get("lockdown", ""):
        return Obstacle(
            "lockdown is confidentiality", "boot without lockdown=confidentiality", loads=True
        )
    return None


def _mounted(facts: Facts, kind: ProgramType) -> Obstacle | None:
    """Say when there is no tracefs for what is attached through it."""
    number = facts.target.kernel.number
    old = number is not None and number < _PMU_SINCE
    through = kind.name == "tracepoint" or (old and kind.name in ("kprobe", "kretprobe", "uprobe"))
    if not through or facts.inquiry is None or "tracefs" in facts.inquiry.mounts.values():
        return None
    hint = "mount -t tracefs tracefs /sys/kernel/tracing"
    return Obstacle("no tracefs is mounted", hint, loads=True)


def _inactive(facts: Facts, kind: ProgramType) -> Obstacle | None:
    """Hooks of a program are called only when "bpf" is among the security modules that run."""
    if kind.name not in ("lsm", "lsm_cgroup") or lsm_runs_bpf(facts.target) is not False:
        return None
    return Obstacle(
        "bpf is not among the security modules that run", "boot with lsm=…,bpf", loads=True
    )
