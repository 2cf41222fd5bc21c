"""Whether a kernel has the helpers, functions and maps that programs use."""

from __future__ import annotations

from pathlib import Path

from droidheaders.preflight.object_file import judge
from tests.bpf_objects import HEAD, TAIL, compiled, program, target
from tests.preflight.object_file.saying import said

TASK = "struct task_struct { int pid; };"


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


def test_a_kfunc_may_be_a_modules() -> None:
    types = TASK + 'extern int bpf_other(int) __attribute__((section(".ksyms")));'
    report = judge(program("x = bpf_other(1)", types), target())
    assert report.facts["kfuncs"] == ["bpf_other"]
    assert said(report, "kfuncs", "unknown")


def test_variables_came_with_5_2() -> None:
    source = program("counter++; x = counter", TASK + "static volatile int counter;")
    assert said(judge(source, target("4.19.0", btf=False)), "maps", "no")
    assert not said(judge(source, target()), "maps")
