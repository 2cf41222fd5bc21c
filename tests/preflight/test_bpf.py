"""What is said of each kind of BPF program, by what keeps it from loading or from running."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from droidheaders.kernel.inquiry import User
from droidheaders.kernel.probe import BTF
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.bpf import judge
from droidheaders.preflight.facts import Facts
from droidheaders.preflight.privilege import CAPABILITIES, ROOT_HINT
from droidheaders.preflight.program_types import COMMON
from tests.kernel.test_golden import GOLDEN, VERSIONS
from tests.preflight.facts import (
    ADBD,
    EVERYTHING,
    MAGISK,
    MOUNTS,
    SHELL,
    SU,
    answers,
    bundle,
    facts,
)

# y: runs; l: loads, and cannot be attached; n: does not load.
OUTCOMES = """
               3.18 4.4 4.9 4.14 4.19 5.4 5.10 5.15 6.1 6.6 6.12
kprobe         n    y   y   y    y    y   y    y    y   y   y
kretprobe      n    y   y   y    y    y   y    y    y   y   y
uprobe         n    l   l   y    y    y   y    y    y   y   y
tracepoint     n    n   y   y    y    y   y    y    y   y   y
raw_tp         n    n   n   n    y    y   y    y    y   y   y
perf_event     n    n   y   y    y    y   y    y    y   y   y
cgroup         n    n   n   y    y    y   y    y    y   y   y
socket_filter  n    y   y   y    y    y   y    y    y   y   y
tc             n    l   y   y    y    y   y    y    y   y   y
xdp            n    n   y   y    y    y   y    y    y   y   y
fentry         n    n   n   n    n    n   l    l    l   l   l
lsm            n    n   n   n    n    n   n    n    n   l   l
iter           n    n   n   n    n    n   y    y    y   y   y
struct_ops     n    n   n   n    n    n   l    l    y   y   y
"""
# A configuration with which everything runs, from 6.4 on.
ALL = """
CONFIG_BPF_SYSCALL=y
CONFIG_BPF_JIT=y
CONFIG_BPF_EVENTS=y
CONFIG_BPF_LSM=y
CONFIG_KPROBE_EVENTS=y
CONFIG_KRETPROBES=y
CONFIG_UPROBE_EVENTS=y
CONFIG_NET=y
CONFIG_NET_CLS_BPF=m
CONFIG_NET_SCH_INGRESS=y
CONFIG_CGROUP_BPF=y
CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y
CONFIG_DEBUG_INFO_BTF=y
CONFIG_BPF_UNPRIV_DEFAULT_OFF=y
CONFIG_LSM="lockdown,selinux,bpf"
"""
TYPED = {BTF: "readable"}
NEW = "6.12.1"


def device(config: str | None = ALL, release: str = NEW, user: User = SU, **more: Any) -> Facts:
    """Return a device's kernel that has BTF, and an administrator, unless told otherwise."""
    return facts(config, release, **{"user": user, "sees": TYPED, **more})


def without(*options: str) -> str:
    pattern = "|".join(rf"CONFIG_{option}=.*\n" for option in options)
    return re.sub(pattern, "", ALL)


def kinds(told: Facts) -> dict[str, Answer]:
    return {name: answer for name, answer in answers(judge(told)).items() if name in COMMON}


def loads(told: Facts) -> dict[str, bool | None]:
    return {name: kind["loads"] for name, kind in judge(told).facts["types"].items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_eleven_generations(version: str) -> None:
    text = (GOLDEN / version / "config").read_text() + "CONFIG_KRETPROBES=y\n"
    has_types = TYPED if "CONFIG_DEBUG_INFO_BTF=y" in text else {}
    machine = "x86_64" if "CONFIG_X86_64=y" in text else "aarch64"
    told = facts(text, f"{version}.99-test", machine, user=SU, sees=has_types)
    head, *rows = [line.split() for line in OUTCOMES.strip().splitlines()]
    expected = {row[0]: row[1 + head.index(version)] for row in rows}
    found = {
        name: "y" if answer.verdict == "yes" else "l" if loads(told)[name] else "n"
        for name, answer in kinds(told).items()
    }
    assert found == expected
    assert {a.verdict for a in kinds(told).values()} <= {"yes", "no"}


def test_with_everything() -> None:
    report = judge(device())
    assert {answer.verdict for answer in kinds(device()).values()} == {"yes"}
    assert report.answer == Answer("bpf", "yes", "14 of 14 kinds of program as root (su 0)")
    assert report.facts["as"] == "su 0"
    assert report.facts["types"]["kprobe"] == {
        "verdict": "yes",
        "loads": True,
        "because": "as root (su 0)",
        "probed": None,
    }


def test_of_a_configuration_alone() -> None:
    told = facts(ALL, NEW)
    assert {a.because for a in kinds(told).values()} == {"by its configuration"}
    assert judge(told).answer == Answer("bpf", "yes", "14 of 14 kinds of program")
    assert judge(told).facts["as"] is None
    assert judge(told).facts["capabilities"] == {}


@pytest.mark.parametrize(
    ("told", "kind", "because", "stays_out"),
    [
        (device("CONFIG_NET=y"), "socket_filter", "CONFIG_BPF_SYSCALL is not set", True),
        (device(release="4.14.1"), "raw_tp", "came with Linux 4.17, and this is 4.14", True),
        (device(without("BPF_EVENTS")), "kprobe", "CONFIG_BPF_EVENTS is not set", True),
        (device(without("KPROBE_EVENTS")), "kprobe", "CONFIG_KPROBE_EVENTS is not set: one", False),
        (device(without("KRETPROBES")), "kretprobe", "CONFIG_KRETPROBES is not set: one", False),
        (device(without("UPROBE_EVENTS")), "uprobe", "CONFIG_UPROBE_EVENTS is not set: one", False),
        (device(without("NET")), "xdp", "CONFIG_NET is not set", True),
        (device(without("NET_SCH_INGRESS")), "tc", "CONFIG_NET_SCH_INGRESS is not set: one", False),
        (device(without("CGROUP_BPF")), "cgroup", "CONFIG_CGROUP_BPF is not set", True),
        (device(without("BPF_JIT")), "struct_ops", "CONFIG_BPF_JIT is not set", True),
        (device(without("BPF_LSM")), "lsm", "CONFIG_BPF_LSM is not set", True),
        (
            device(without("DYNAMIC_FTRACE_WITH_DIRECT_CALLS")),
            "fentry",
            "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS is not set: one loads, and cannot",
            False,
        ),
        (
            device(without("DEBUG_INFO_BTF"), sees={}),
            "iter",
            "the kernel's own BTF is needed, and CONFIG_DEBUG_INFO_BTF is not set",
            True,
        ),
        (device(sees={}), "fentry", f"the kernel's BTF is needed, and {BTF} is not there", True),
        (device(machine="armv7l"), "fentry", "armv7l has no BPF trampoline", False),
        (
            device(release="5.15.1"),
            "fentry",
            "aarch64 has BPF trampolines since 6.0: one loads",
            False,
        ),
        (
            device(switches={"lockdown": "none integrity [confidentiality]"}),
            "tracepoint",
            "lockdown is confidentiality",
            False,
        ),
        (device(mounts={}), "tracepoint", "no tracefs is mounted", False),
        (device(mounts={}, release="4.14.1"), "uprobe", "no tracefs is mounted", False),
        (
            device(switches={"lsm": "capability,selinux"}),
            "lsm",
            "bpf is not among the security modules that run",
            False,
        ),
        (
            device(switches={"cmdline": "root=/dev/vda lsm=selinux quiet"}),
            "lsm",
            "bpf is not among the security modules that run",
            False,
        ),
        (
            device(ALL.replace("lockdown,selinux,bpf", "")),
            "lsm",
            "bpf is not among the security modules that run",
            False,
        ),
        (
            device(ALL.replace("selinux,bpf", "selinux")),
            "lsm",
            "bpf is not among the security modules that run",
            False,
        ),
    ],
)
def test_what_stands_in_the_way(told: Facts, kind: str, because: str, stays_out: bool) -> None:
    answer = kinds(told)[kind]
    assert answer.verdict == "no"
    assert answer.because.startswith(because)
    assert loads(told)[kind] is not stays_out


@pytest.mark.parametrize(
    "told",
    [
        device(switches={"lockdown": "none [integrity] confidentiality"}),
        device(mounts={}),
        device(switches={"lsm": "selinux,bpf", "cmdline": "lsm=selinux"}),
        device(sees={BTF: "denied"}),
        device(ALL.replace("lockdown,selinux,", "")),
        device(ALL.replace("KPROBE_EVENTS=y", "KPROBE_EVENT=y")),
    ],
)
def test_what_does_not(told: Facts) -> None:
    """The file that says which security modules run counts for more than the command line."""
    found = kinds(told)
    assert (found["kprobe"].verdict, found["lsm"].verdict) == ("yes", "yes")


def test_hints_can_be_followed() -> None:
    found = kinds(device(mounts={}))
    assert found["tracepoint"].hint == "mount -t tracefs tracefs /sys/kernel/tracing"
    assert kinds(device(switches={"lsm": "selinux"}))["lsm"].hint.startswith("boot with lsm=")
    assert kinds(facts(ALL, NEW, shell=SHELL, sees=TYPED))["xdp"].hint == ROOT_HINT


def test_what_keeps_it_from_loading_is_told_first() -> None:
    told = device(without("KPROBE_EVENTS", "BPF_EVENTS"))
    assert kinds(told)["kprobe"].because == "CONFIG_BPF_EVENTS is not set"
    told = device("CONFIG_NET=y", "2.6.32", mounts={})
    assert kinds(told)["kprobe"].because.startswith("CONFIG_BPF_SYSCALL")


def having(*names: str) -> User:
    caps = sum(1 << CAPABILITIES[name] for name in names)
    return User("shell", 2000, "", caps)


@pytest.mark.parametrize(
    ("user", "release", "kind", "missing"),
    [
        (having(), NEW, "kprobe", "no CAP_BPF and no CAP_PERFMON"),
        (having("CAP_BPF"), NEW, "kprobe", "no CAP_PERFMON"),
        (having("CAP_BPF", "CAP_PERFMON"), NEW, "kprobe", ""),
        (having("CAP_BPF", "CAP_PERFMON"), NEW, "tc", "no CAP_NET_ADMIN"),
        (having("CAP_BPF"), NEW, "socket_filter", ""),
        (having("CAP_SYS_ADMIN"), NEW, "tc", ""),
        (having("CAP_SYS_ADMIN"), NEW, "fentry", ""),
        (having("CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"), "5.4.1", "xdp", "no CAP_SYS_ADMIN"),
        (having("CAP_SYS_ADMIN"), "5.4.1", "xdp", ""),
        (having("CAP_BPF", "CAP_PERFMON"), "android-custom", "kprobe", "no CAP_SYS_ADMIN"),
    ],
)
def test_capabilities(user: User, release: str, kind: str, missing: str) -> None:
    found = kinds(device(release=release, shell=user, user=user, selinux="permissive"))[kind]
    if missing:
        assert found == Answer(kind, "no", f"the shell has {missing}", ROOT_HINT)
    else:
        assert found.because == "as the shell"


@pytest.mark.parametrize(
    ("config", "switches", "free"),
    [
        (ALL, {"unprivileged_bpf_disabled": "0"}, True),
        (ALL, {"unprivileged_bpf_disabled": "1"}, False),
        (ALL, {"unprivileged_bpf_disabled": "2"}, False),
        (ALL, {}, False),
        (without("BPF_UNPRIV_DEFAULT_OFF"), {}, True),
        (without("BPF_UNPRIV_DEFAULT_OFF"), {"unprivileged_bpf_disabled": "2"}, False),
    ],
)
def test_the_unprivileged(config: str, switches: dict[str, str], free: bool) -> None:
    told = device(config, shell=having(), user=having(), selinux="permissive", switches=switches)
    found = kinds(told)
    assert found["socket_filter"].verdict == ("yes" if free else "no")
    assert found["kprobe"].verdict == "no"
    # Attaching it takes more than loading it did: bpf_prog_attach_check_attach_type().
    assert found["cgroup"].verdict == "no"
    assert loads(told)["cgroup"] is free
    assert ("CAP_NET_ADMIN: one loads" in found["cgroup"].because) is free


def test_selinux_keeps_the_shell_away_whatever_it_is_capable_of() -> None:
    able = replace(SHELL, caps=EVERYTHING)
    told = device(shell=able, user=able, switches={"unprivileged_bpf_disabled": "0"})
    assert {a.because for a in kinds(told).values()} == {"SELinux lets shell load no program"}
    assert judge(told).answer.verdict == "no"
    assert kinds(device(shell=able, user=able, selinux="permissive"))["kprobe"].verdict == "yes"


@pytest.mark.parametrize(
    ("told", "who"),
    [
        (device(user=MAGISK), "root (su -c)"),
        (device(shell=ADBD, user=ADBD), "root (adbd)"),
        (device(user=SHELL, debuggable=True), "root (adb root)"),
    ],
)
def test_who_would_do_it(told: Facts, who: str) -> None:
    assert {a.because for a in kinds(told).values()} == {f"as {who}"}
    assert judge(told).facts["as"] == who[6:-1]
    assert judge(told).answer.because.endswith(f"as {who}")


def test_without_a_configuration_nothing_is_sure() -> None:
    told = facts(None, NEW)
    found = kinds(told)
    assert {a.verdict for a in found.values()} == {"unknown"}
    because = "the configuration is unknown: /proc/config.gz is not there"
    assert judge(told).answer == Answer("bpf", "unknown", because)
    assert set(loads(told).values()) == {None}


def test_a_release_tells_what_is_too_old_even_without_a_configuration() -> None:
    found = kinds(facts(None, "4.14.1"))
    assert found["kprobe"].verdict == "unknown"
    assert found["fentry"] == Answer("fentry", "no", "came with Linux 5.5, and this is 4.14")


def test_what_is_there_stands_for_the_option_that_brings_it() -> None:
    switches = {"unprivileged_bpf_disabled": "2"}
    places = {"/sys/kernel/debug/tracing/kprobe_events": "denied"}
    told = device(None, switches=switches, root_sees=places | TYPED)
    found = kinds(told)
    # There is bpf(2), and kprobes; that programs may be attached to them, nothing tells.
    assert found["kprobe"].verdict == "unknown"
    assert "the configuration is unknown" in found["kprobe"].because
    assert judge(told).answer.verdict == "unknown"


def test_a_release_that_says_no_version() -> None:
    found = kinds(device(release="android-custom"))
    because = "the release says no version, and it takes 4.1"
    assert found["kprobe"] == Answer("kprobe", "unknown", because)


def test_types_that_were_not_seen() -> None:
    found = kinds(device(None, switches={"unprivileged_bpf_disabled": "2"}, sees={}))
    assert found["iter"].verdict == "unknown"


OUTCOME = {
    "kprobe": (0, 0),
    "xdp": (0, None),
    "tc": (1, None),
    "fentry": (0, 524),
    "iter": (9999, None),
}


def test_what_was_tried_counts_for_more() -> None:
    report = judge(facts(None, NEW, user=SU), OUTCOME)
    found = answers(report)
    assert found["kprobe"].because == "one was loaded and attached on the device"
    assert found["xdp"] == Answer("xdp", "yes", "one was loaded on the device")
    assert found["tc"] == Answer("tc", "no", "loading one ended with EPERM")
    assert found["fentry"].because == "one loads; attaching it ended with 524"
    assert found["iter"].because == "loading one ended with 9999"
    assert found["lsm"].verdict == "unknown"
    assert report.answer.verdict == "yes"
    kinds_ = report.facts["types"]
    assert kinds_["fentry"]["probed"] == [0, 524]
    assert kinds_["lsm"]["probed"] is None
    assert [kinds_[name]["loads"] for name in OUTCOME] == [True, True, False, True, False]


def test_nothing_runs_though_everything_should() -> None:
    report = judge(device(), dict.fromkeys(COMMON, (1, None)))
    assert report.answer == Answer("bpf", "no", "loading one ended with EPERM")


def around(told: Facts, name: str) -> Answer | None:
    return answers(judge(told)).get(name)


@pytest.mark.parametrize("random", ["", "CONFIG_RANDSTRUCT_FULL=y"])
def test_btf_can_be_made_from_cached_headers(tmp_path: Path, random: str) -> None:
    """Unless the layout of structures is not in them."""
    mine = bundle(tmp_path / "6.12.1-aarch64-0123", state="usable")
    told = replace(device(without("DEBUG_INFO_BTF") + random, sees={}), bundle=mine)
    (answer,) = [one for one in judge(told).details if one.name == "btf"]
    assert answer.verdict == "risky"
    assert answer.because.endswith("such as BTF made from the cached headers") is (not random)
    assert answer.hint == ("" if random else "droidheaders btf --format raw -o FILE")


@pytest.mark.parametrize(
    ("told", "name", "verdict", "because"),
    [
        (device(), "tracefs", "yes", "mounted at /sys/kernel/tracing"),
        (device(mounts={}), "tracefs", "no", "not mounted: no output of bpf_printk"),
        (device(), "bpffs", "yes", "mounted at /sys/fs/bpf"),
        (device(mounts={}), "bpffs", "risky", "not mounted: nothing can be pinned"),
        (device(), "btf", "yes", BTF),
        (device(sees={}), "btf", "risky", f"{BTF} is not there: CO-RE programs need types from"),
        (
            device(without("DEBUG_INFO_BTF"), sees={}),
            "btf",
            "risky",
            "CONFIG_DEBUG_INFO_BTF is not set: CO-RE",
        ),
        (facts(ALL, NEW), "btf", "yes", "CONFIG_DEBUG_INFO_BTF=y"),
        (device(without("BPF_JIT")), "jit", "risky", "CONFIG_BPF_JIT is not set: programs are"),
        (
            device(switches={"bpf_jit_enable": "0"}),
            "jit",
            "risky",
            "net.core.bpf_jit_enable is 0: programs are interpreted",
        ),
        (
            device(switches={"bpf_jit_enable": "1", "bpf_jit_harden": "2"}),
            "jit",
            "yes",
            "net.core.bpf_jit_enable is 1, hardened for everybody",
        ),
        (
            device(switches={"bpf_jit_enable": "1", "bpf_jit_harden": "1"}),
            "jit",
            "yes",
            "net.core.bpf_jit_enable is 1, hardened for the unprivileged",
        ),
        (device(ALL + "CONFIG_BPF_JIT_ALWAYS_ON=y"), "jit", "yes", "CONFIG_BPF_JIT_ALWAYS_ON=y"),
        (
            device(switches={"unprivileged_bpf_disabled": "1"}),
            "unprivileged",
            "yes",
            "kernel.unprivileged_bpf_disabled is 1: the unprivileged may not, until the next boot",
        ),
        (
            device(release="5.10.1", memlock=None),
            "memlock",
            "yes",
            "root (su 0) may lock any amount of memory",
        ),
        (
            device(release="5.10.1"),
            "memlock",
            "yes",
            "maps count against RLIMIT_MEMLOCK before Linux 5.11, and that is 65536 bytes, which",
        ),
        (
            device(release="5.10.1", shell=having(), user=having()),
            "memlock",
            "risky",
            "maps count against RLIMIT_MEMLOCK before Linux 5.11, and that is 65536 bytes",
        ),
        (
            device(),
            "capabilities",
            "yes",
            "the shell: none of those for BPF and modules; root (su 0): CAP_NET_ADMIN, ",
        ),
        (
            device(shell=having("CAP_BPF"), user=having("CAP_BPF")),
            "capabilities",
            "yes",
            "the shell: CAP_BPF",
        ),
    ],
)
def test_what_is_around(told: Facts, name: str, verdict: str, because: str) -> None:
    answer = around(told, name)
    assert answer is not None
    assert answer.verdict == verdict
    assert answer.because.startswith(because)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (facts(None, NEW), "btf"),
        (facts(ALL, NEW), "tracefs"),
        (facts(ALL, NEW), "capabilities"),
        (device(), "jit"),
        (device(switches={"unprivileged_bpf_disabled": "7"}), "unprivileged"),
        (device(), "memlock"),
        (device(release="unnumbered"), "memlock"),
    ],
)
def test_of_what_nothing_is_known_nothing_is_said(told: Facts, name: str) -> None:
    assert around(told, name) is None


def test_of_several_mounts_the_shortest_path_is_named() -> None:
    mounts = {"/sys/kernel/debug/tracing": "tracefs", **MOUNTS}
    report = judge(device(mounts=mounts, switches={"lsm": "selinux,bpf"}))
    assert report.facts["tracefs"] == "/sys/kernel/tracing"
    assert report.facts["cgroup2"] == "/sys/fs/cgroup"
    assert report.facts["switches"]["lsm"] == "selinux,bpf"
    assert report.facts["memlock"] == 65536
    assert report.facts["capabilities"] == {"shell": [], "su 0": [*CAPABILITIES]}
