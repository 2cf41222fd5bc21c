"""Whether a kernel has the types of programs, and what they are attached to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from droidheaders.preflight.object_file import judge
from tests.bpf_objects import CONFIG, program, target
from tests.preflight.object_file.saying import said

TASK = "struct task_struct { int pid; };"


@pytest.mark.parametrize(
    ("section", "name", "verdict", "because"),
    [
        ("kprobe/do_sys_openat2", "attach", "", ""),
        ("kprobe/nowhere", "attach", "unknown", "there is none in vmlinux"),
        ("fentry/do_sys_openat2", "programs", "yes", "fentry: the kernel has the type, by its BTF"),
        ("fexit/do_sys_openat2", "programs", "no", "the kernel has no BPF_TRACE_FEXIT, by its BTF"),
        ("lsm/file_open", "attach", "", ""),
        ("lsm/file_shut", "attach", "no", "no such hook"),
        ("iter/task", "attach", "", ""),
        ("iter/tasks", "attach", "no", "no such iterator"),
        ("tp_btf/sched_switch", "attach", "", ""),
        ("raw_tp/sched_swatch", "attach", "unknown", "there is none in vmlinux"),
        ("tp/syscalls/sys_enter_openat", "attach", "no", "CONFIG_FTRACE_SYSCALLS is not set"),
        ("ksyscall/openat", "attach", "no", "the kernel has no __x64_sys_openat"),
        ("xdp", "programs", "no", "the kernel has no BPF_PROG_TYPE_XDP, by its BTF"),
        ("schedcls/x", "programs", "unknown", "no name that libbpf knows"),
    ],
)
def test_programs_and_what_they_are_attached_to(
    section: str, name: str, verdict: str, because: str
) -> None:
    report = judge(program("x = 1", TASK, section), target())
    found = [one for one in report.details if one.name == name]
    assert [one.verdict for one in found] == ([verdict] if verdict else [])
    assert all(because in one.because for one in found)


@pytest.mark.parametrize(
    ("section", "release", "machine", "because"),
    [
        ("kprobe/f", "4.0.9", "x86_64", "it came with 4.1"),
        ("uprobe.multi/f", "6.5.0", "x86_64", "BPF_TRACE_UPROBE_MULTI: it came with 6.6"),
        ("fentry/f", "5.15.1", "aarch64", "aarch64 has BPF trampolines since 6.0"),
        ("fentry/f", "6.6.1", "armv7l", "armv7l has no BPF trampolines"),
        ("fentry.s/f", "5.9.1", "x86_64", "programs that sleep"),
        ("netfilter", "6.6.1", "x86_64", "CONFIG_NETFILTER_BPF_LINK is not set"),
    ],
)
def test_the_release_and_the_options_decide_without_btf(
    section: str, release: str, machine: str, because: str
) -> None:
    report = judge(program("x = 1", TASK, section), target(release, machine, btf=False))
    assert because in "; ".join(said(report, "programs", "no"))


def test_an_lsm_must_be_in_the_list() -> None:
    config = CONFIG.replace(",bpf", "")
    report = judge(program("x = 1", TASK, "lsm/file_open"), target(config=config))
    assert said(report, "programs", "risky") == [
        "lsm: it is called only when the kernel was booted with bpf in lsm="
    ]


def test_the_list_of_the_running_kernel_counts_for_more() -> None:
    lsm = program("x = 1", TASK, "lsm/file_open")
    for switch in ("lsm", "cmdline"):
        running = {switch: "lsm=lockdown,selinux" if switch == "cmdline" else "lockdown,selinux"}
        assert said(judge(lsm, replace(target(), switches=running)), "programs", "risky")
    without = target(config=CONFIG.replace(",bpf", ""))
    assert not said(judge(lsm, replace(without, switches={"lsm": "bpf"})), "programs", "risky")


def test_a_machine_that_is_not_known_may_have_trampolines() -> None:
    report = judge(program("x = 1", TASK, "fentry/do_sys_openat2"), target(machine=""))
    assert "nothing tells whether the kernel has BPF trampolines" in said(report, "programs")[0]
