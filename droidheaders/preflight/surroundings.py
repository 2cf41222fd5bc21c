"""What BPF programs meet on a kernel besides the kernel: mounts, switches, limits, capabilities."""

from __future__ import annotations

from typing import Any

from droidheaders.kernel.kconfig import shuffled
from droidheaders.kernel.probe import BTF
from droidheaders.preflight.answer import Answer, Report
from droidheaders.preflight.facts import Facts
from droidheaders.preflight.privilege import actor, held, who

_MEMLOCK_SINCE = (5, 11)  # charged to the memory cgroup since (97306be45fbe)
_HARDENED = {"1": "for the unprivileged", "2": "for everybody"}  # admin-guide/sysctl/net.rst
_UNPRIVILEGED = {"0": "may load some types", "1": "may not, until the next boot", "2": "may not"}


def judge(facts: Facts) -> Report:
    """Say what is mounted, switched on and permitted; the report's own answer sums up nothing."""
    answers = [*_types(facts), *_jit(facts)]
    if facts.inquiry is not None:
        answers = [_tracefs(facts), _bpffs(facts), *answers, *_unprivileged(facts)]
        answers += [*_memlock(facts), _capabilities(facts)]
    return Report(Answer("surroundings", "yes", ""), tuple(answers), _describe(facts))


def _mounted(facts: Facts, kind: str) -> str | None:
    mounts = facts.inquiry.mounts if facts.inquiry else {}
    places = [path for path, mounted in mounts.items() if mounted == kind]
    return min(places, key=len, default=None)


def _tracefs(facts: Facts) -> Answer:
    place = _mounted(facts, "tracefs")
    if place:
        return Answer("tracefs", "yes", f"mounted at {place}")
    hint = "mount -t tracefs tracefs /sys/kernel/tracing"
    return Answer("tracefs", "no", "not mounted: no output of bpf_printk, no tracepoints", hint)


def _bpffs(facts: Facts) -> Answer:
    place = _mounted(facts, "bpf")
    if place:
        return Answer("bpffs", "yes", f"mounted at {place}")
    return Answer(
        "bpffs", "risky", "not mounted: nothing can be pinned", "mount -t bpf bpf /sys/fs/bpf"
    )


def _types(facts: Facts) -> list[Answer]:
    inquiry = facts.inquiry
    if inquiry is not None and inquiry.has(BTF):
        return [Answer("btf", "yes", BTF)]
    if facts.bundle is not None and "btf" in facts.bundle.parts:
        return [Answer("btf", "yes", f"btf in {facts.bundle.name}")]
    value = facts.option("DEBUG_INFO_BTF")
    if value == "y" and inquiry is None:
        return [Answer("btf", "yes", "CONFIG_DEBUG_INFO_BTF=y")]
    if value is None and (inquiry is None or BTF not in inquiry.files):
        return []
    why = "CONFIG_DEBUG_INFO_BTF is not set" if value == "n" else f"{BTF} is not there"
    why = f"{why}: CO-RE programs need types from elsewhere"
    if facts.bundle is None or shuffled(facts.target.config):
        return [Answer("btf", "risky", why)]
    made = f"{why}, such as BTF made from the cached headers"
    return [Answer("btf", "risky", made, "droidheaders btf --format raw -o FILE")]


def _jit(facts: Facts) -> list[Answer]:
    switch = facts.target.switches.get("bpf_jit_enable")
    harden = _HARDENED.get(facts.target.switches.get("bpf_jit_harden", ""), "")
    hardened = f", hardened {harden}" if harden else ""
    if facts.option("BPF_JIT") == "n":
        return [Answer("jit", "risky", "CONFIG_BPF_JIT is not set: programs are interpreted")]
    if switch == "0":
        hint = "sysctl net.core.bpf_jit_enable=1"
        return [
            Answer("jit", "risky", "net.core.bpf_jit_enable is 0: programs are interpreted", hint)
        ]
    if switch is None:
        always = facts.option("BPF_JIT_ALWAYS_ON") == "y"
        return [Answer("jit", "yes", "CONFIG_BPF_JIT_ALWAYS_ON=y")] if always else []
    return [Answer("jit", "yes", f"net.core.bpf_jit_enable is {switch}{hardened}")]


def _unprivileged(facts: Facts) -> list[Answer]:
    switch = facts.target.switches.get("unprivileged_bpf_disabled")
    if switch not in _UNPRIVILEGED:
        return []
    what = f"the unprivileged {_UNPRIVILEGED[switch]}"
    return [Answer("unprivileged", "yes", f"kernel.unprivileged_bpf_disabled is {switch}: {what}")]


def _memlock(facts: Facts) -> list[Answer]:
    number = facts.target.kernel.number
    if facts.inquiry is None or number is None or number >= _MEMLOCK_SINCE:
        return []
    user = actor(facts.inquiry)
    memlock = facts.inquiry.memlock
    if memlock is None:
        return [Answer("memlock", "yes", f"{who(user)} may lock any amount of memory")]
    limit = f"maps count against RLIMIT_MEMLOCK before Linux 5.11, and that is {memlock} bytes"
    if "CAP_SYS_RESOURCE" in held(user):
        return [Answer("memlock", "yes", f"{limit}, which {who(user)} may raise")]
    return [Answer("memlock", "risky", limit)]


def _capabilities(facts: Facts) -> Answer:
    """Say what the shell's own capabilities are, and those of root where that is somebody else."""
    assert facts.inquiry is not None
    shell, user = facts.inquiry.shell, actor(facts.inquiry)
    told = f"{who(shell)}: {', '.join(held(shell)) or 'none of those for BPF and modules'}"
    if user.how != shell.how:
        told += f"; {who(user)}: {', '.join(held(user)) or 'none'}"
    return Answer("capabilities", "yes", told)


def _describe(facts: Facts) -> dict[str, Any]:
    inquiry = facts.inquiry
    names = ("unprivileged_bpf_disabled", "bpf_jit_enable", "bpf_jit_harden", "perf_event_paranoid")
    return {
        "tracefs": _mounted(facts, "tracefs"),
        "bpffs": _mounted(facts, "bpf"),
        "cgroup2": _mounted(facts, "cgroup2"),
        "switches": {name: facts.target.switches.get(name) for name in (*names, "lsm")},
        "memlock": inquiry.memlock if inquiry else None,
        "capabilities": {
            user.how: held(user) for user in ([inquiry.shell, actor(inquiry)] if inquiry else [])
        },
    }
