from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from droidheaders.preflight.answer import Answer, Report, worst
from droidheaders.preflight.object_file import judge
from tests.bpf_objects import CONFIG, HEAD, TAIL, compiled, program, target

TASK = "struct task_struct { int pid; };"


def said(report: Report, name: str, verdict: str = "") -> list[str]:
    """Return what a report says under a name."""
    return [
        one.because
        for one in report.details
        if one.name == name and (not verdict or one.verdict == verdict)
    ]


def test_an_object_that_fits() -> None:
    report = judge(program("x = t->pid", TASK), target())
    assert report.answer == Answer("object", "yes", "1 programs (kprobe)")
    assert worst(report.details) == "yes"
    assert {one.name for one in report.details} == {
        *("format", "programs", "helpers", "co-re", "license")
    }
    assert report.facts == {
        "programs": [
            {
                "name": "prog",
                "section": "kprobe/do_sys_openat2",
                "kind": "kprobe",
                "instructions": report.facts["programs"][0]["instructions"],
            }
        ],
        "helpers": ["bpf_get_current_task"],
        "kfuncs": [],
        "maps": [],
        "externs": [],
        "license": "GPL",
        "btf": True,
        "relocations": {"total": 1, "found": 1, "absent": 0, "guarded": 0, "failing": []},
    }
    json.dumps(report.facts)


def test_a_field_that_is_missing_is_named_with_its_place() -> None:
    report = judge(program("READS(&x, 4, &t->foo)", "struct task_struct { int foo; };"), target())
    assert report.answer.verdict == "no"
    (because,) = said(report, "co-re", "no")
    assert because.startswith("struct task_struct.foo: the kernel has no such thing, by its BTF")
    assert "prog (kprobe/do_sys_openat2), <stdin>:" in because
    (failing,) = report.facts["relocations"]["failing"]
    assert failing["what"] == "struct task_struct.foo"


def test_the_same_field_is_named_once() -> None:
    body = "READS(&x, 4, &t->foo); READS(ctx, 4, &t->foo)"
    report = judge(program(body, "struct task_struct { int foo; };"), target())
    assert len(said(report, "co-re")) == 1


@pytest.mark.parametrize(
    "guard",
    [
        "if (EXISTS(t->foo)) READS(&x, 4, &t->foo); else READS(&x, 4, &t->pid)",
        "if (!EXISTS(t->foo)) return 0; READS(&x, 4, &t->foo)",
        "if (__builtin_preserve_type_info(*(struct nothing *)0, 0)) READS(&x, 4, &t->foo)",
        "if (LINUX_KERNEL_VERSION < 0x050000) READS(&x, 4, &t->foo)",
        "if (CONFIG_HZ == 100) READS(&x, 4, &t->foo)",
        "if (CONFIG_NOWHERE) READS(&x, 4, &t->foo)",
    ],
)
def test_what_is_guarded_may_be_missing(guard: str) -> None:
    types = """
    struct task_struct { int pid, foo; }; struct nothing { int a; };
    #define EXTERN __attribute__((section(".kconfig"), weak))
    extern int LINUX_KERNEL_VERSION EXTERN, CONFIG_HZ EXTERN; extern _Bool CONFIG_NOWHERE EXTERN;
    """
    report = judge(program(guard, types), target())
    assert report.answer.verdict == "yes"
    assert report.facts["relocations"]["guarded"] == 1
    assert "of them in code that is not reached" in said(report, "co-re")[0]


def test_a_program_that_need_not_be_loaded_may_lack_anything() -> None:
    body, types = "READS(&x, 4, &t->foo)", "struct task_struct { int foo; };"
    assert judge(program(body, types, "?lsm/nowhere"), target()).answer.verdict == "yes"
    assert judge(program(body, types, "lsm/nowhere"), target()).answer.verdict == "no"


def test_a_wrong_guard_is_none() -> None:
    guard = "if (EXISTS(t->pid)) READS(&x, 4, &t->foo)"
    report = judge(program(guard, "struct task_struct { int pid, foo; };"), target())
    assert report.answer.verdict == "no"


@pytest.mark.parametrize(
    ("config", "verdict"),
    [(CONFIG, "unknown"), (CONFIG.replace("CONFIG_DEBUG_INFO_BTF=y", ""), "no"), (None, "unknown")],
)
def test_relocations_need_the_kernels_btf(config: str | None, verdict: str) -> None:
    report = judge(program("x = t->pid", TASK), target(config=config, btf=False))
    assert said(report, "co-re", verdict)


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


def test_a_kernel_of_which_nothing_is_known() -> None:
    report = judge(program("x = 1", TASK), target("what?", config=None, btf=False))
    assert {one.verdict for one in report.details if one.name in ("programs", "helpers")} == {
        "unknown"
    }


def test_an_lsm_must_be_in_the_list() -> None:
    config = CONFIG.replace(",bpf", "")
    report = judge(program("x = 1", TASK, "lsm/file_open"), target(config=config))
    assert said(report, "programs", "risky") == [
        "lsm: it is called only when the kernel was booted with bpf in lsm="
    ]


def test_helpers_and_maps_that_are_not_there() -> None:
    source = f"""{HEAD}
    struct {{ int (*type)[27]; int (*max_entries)[4096]; }} ring SEC(".maps");
    SEC("kprobe/do_sys_openat2") int prog(u64 *ctx) {{
      return bpf_ringbuf_reserve(&ring, 8, 0) != 0; }}{TAIL}"""
    report = judge(compiled(source), target())
    assert said(report, "helpers", "no") == [
        "prog calls bpf_ringbuf_reserve, which is not there, by its BTF: it came with 5.8"
    ]
    assert said(report, "maps", "no") == [
        "ring is a map RINGBUF, which is not there, by its BTF: it came with 5.8"
    ]
    old = judge(compiled(source), target("5.4.1", btf=False))
    assert "by its release, 5.4" in said(old, "helpers", "no")[0]
    new = judge(compiled(source), target("5.10.1", btf=False))
    assert said(new, "helpers", "yes") and said(new, "maps", "yes")


def test_the_header_tells_what_btf_does_not(tmp_path: Path) -> None:
    header = tmp_path / "include/uapi/linux/bpf.h"
    header.parent.mkdir(parents=True)
    header.write_text(
        "enum bpf_prog_type { BPF_PROG_TYPE_UNSPEC, BPF_PROG_TYPE_KPROBE = 2, };\n"
        "/* FN(nothing), */\n#define __BPF_FUNC_MAPPER(FN)\t\\\n\tFN(unspec),\t\\\n\tFN(one),\n"
        "enum bpf_func_id { __BPF_FUNC_MAPPER(x) };\n"
    )
    report = judge(program("x = 1", TASK), target("3.10.0", btf=False, headers=tmp_path))
    assert said(report, "programs") == [
        "kprobe: the kernel has the type, by its include/uapi/linux/bpf.h"
    ]
    assert "bpf_get_current_task, which is not there" in said(report, "helpers", "no")[0]


def test_options_that_it_insists_on() -> None:
    types = TASK + 'extern int CONFIG_A __attribute__((section(".kconfig")));'
    report = judge(program("x = CONFIG_A", types), target())
    assert said(report, "kconfig", "no") == ["it asks for CONFIG_A, which is not set"]
    assert not said(
        judge(program("x = CONFIG_A", types), target(config=CONFIG + "CONFIG_A=3\n")), "kconfig"
    )


def test_a_kfunc_may_be_a_modules() -> None:
    types = TASK + 'extern int bpf_other(int) __attribute__((section(".ksyms")));'
    report = judge(program("x = bpf_other(1)", types), target())
    assert report.facts["kfuncs"] == ["bpf_other"]
    assert said(report, "kfuncs", "unknown")


@pytest.mark.parametrize(
    ("license", "verdict"), [("Dual BSD/GPL", "yes"), ("Proprietary", "no"), ("", "no")]
)
def test_helpers_for_the_gpl(license: str, verdict: str) -> None:  # noqa: A002
    source = program_of(license)
    (answer,) = [one for one in judge(source, target()).details if one.name == "license"]
    assert answer.verdict == verdict
    assert verdict == "yes" or "bpf_probe_read_kernel" in answer.because


def program_of(licence: str) -> bytes:
    body = f'{HEAD} SEC("kprobe/f") int prog(u64 *ctx) {{ int x; READS(&x, 4, ctx); return x; }}'
    last = "#pragma clang attribute pop\n"
    named = f'char LICENSE[] SEC("license") = "{licence}";' if licence else ""
    return compiled(f"{body}\n{last}{named}")


def test_a_version_section_of_another_kernel() -> None:
    source = program("x = 1", TASK + 'SEC("version") int made_for = 0x041300;')
    old = judge(source, target("4.14.199-perf", btf=False))
    assert "its version section is of 4.19.0" in said(old, "version", "no")[0]
    assert not said(judge(source, target("4.19.0", btf=False)), "version")
    assert not said(judge(source, target()), "version")


def test_variables_came_with_5_2() -> None:
    source = program("counter++; x = counter", TASK + "static volatile int counter;")
    assert said(judge(source, target("4.19.0", btf=False)), "maps", "no")
    assert not said(judge(source, target()), "maps")


def test_without_debug_information_there_are_no_relocations() -> None:
    source = (
        'int prog(void *ctx) __attribute__((section("kprobe/do_sys_openat2"), used));'
        "int prog(void *ctx) { return 0; }"
    )
    report = judge(compiled(source, "-O2"), target())
    assert said(report, "btf", "yes") == ["there is none in it, which plain programs do not need"]
    assert report.facts["btf"] is False


@pytest.mark.parametrize(
    ("damage", "because"),
    [
        (lambda data: b"\x7fELF", "is cut off"),
        (lambda data: b"#!/bin/sh\n", "is no ELF file"),
        (lambda data: data[:18] + b"\x3e\x00" + data[20:], "is for Advanced Micro Devices X86-64"),
        (lambda data: data[:200], "is cut off"),
        (lambda data: data.replace(b"\x9f\xeb\x01\x00\x20", b"\x9f\xea\x01\x00\x20"), "BTF.ext"),
    ],
)
def test_what_is_no_object(damage: Callable[[bytes], bytes], because: str) -> None:
    report = judge(damage(program("x = t->pid", TASK)), target())
    assert report.answer.verdict == "no"
    assert because in report.answer.because
