"""Whether the types that a BPF object relocates by are there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from droidheaders.preflight.object_file import judge
from droidheaders.preflight.target import Target
from tests.bpf_objects import CONFIG, kernel_btf, program, target
from tests.preflight.object_file.saying import said

TASK = "struct task_struct { int pid; };"


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


NO_BTF = CONFIG.replace("CONFIG_DEBUG_INFO_BTF=y", "")


def made(config: str | None) -> Target:
    """Return the kernel without its own BTF, and with one made from its headers."""
    return replace(target(config=config, btf=False), made_btf=kernel_btf())


@pytest.mark.parametrize("config", [CONFIG, NO_BTF, None])
def test_types_made_from_headers_serve_relocations(config: str | None) -> None:
    report = judge(program("x = t->pid", TASK), made(config))
    assert report.facts["relocations"]["by"] == "headers"
    assert report.facts["relocations"]["found"] == 1
    assert said(report, "co-re", "yes") == [
        "all 1 relocations fit BTF made from its headers",
    ]
    (answer,) = [one for one in report.details if one.name == "co-re"]
    assert answer.hint.startswith("load it with that: droidheaders btf") is (config == NO_BTF)


@pytest.mark.parametrize(
    ("config", "verdict"), [(CONFIG, "unknown"), (NO_BTF, "no"), (None, "unknown")]
)
def test_what_they_lack_the_kernels_own_may_have(config: str | None, verdict: str) -> None:
    types = "struct task_struct { int foo; };"
    report = judge(program("READS(&x, 4, &t->foo)", types), made(config))
    (because,) = said(report, "co-re", verdict)
    assert "the kernel has no such thing, by BTF made from its headers" in because


@pytest.mark.parametrize("section", ["fentry/do_sys_openat2", "lsm/file_open", "iter/task"])
def test_they_do_not_serve_what_attaches_by_btf(section: str) -> None:
    body = "x = ((struct task_struct *)t)->pid"
    report = judge(program(body, TASK, section), made(NO_BTF))
    assert report.answer.verdict == "no"
    assert "it needs the kernel's own BTF" in report.answer.because
    assert report.answer.because.endswith("one made from headers does not do")
    assert said(report, "co-re", "yes")
    assert not said(report, "attach")


def test_the_number_of_a_type_is_the_kernels_own() -> None:
    body = "x = __builtin_btf_type_id(*(struct task_struct *)0, 1)"
    assert judge(program(body, TASK), made(CONFIG)).answer.verdict == "yes"
    (because,) = said(judge(program(body, TASK), made(NO_BTF)), "co-re", "no")
    assert because.startswith("struct task_struct: its number is one in the kernel's own BTF")


def test_why_none_could_be_made_is_said() -> None:
    kernel = replace(target(config=NO_BTF, btf=False), unmade="pahole is not on this host")
    (because,) = said(judge(program("x = t->pid", TASK), kernel), "co-re", "no")
    assert because.endswith("is not set; pahole is not on this host")
