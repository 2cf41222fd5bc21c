"""Whether a kernel has the options that a BPF object asks for."""

from __future__ import annotations

from droidheaders.preflight.object_file import judge
from tests.bpf_objects import CONFIG, program, target
from tests.preflight.object_file.saying import said

TASK = "struct task_struct { int pid; };"


def test_options_that_it_insists_on() -> None:
    types = TASK + 'extern int CONFIG_A __attribute__((section(".kconfig")));'
    report = judge(program("x = CONFIG_A", types), target())
    assert said(report, "kconfig", "no") == ["it asks for CONFIG_A, which is not set"]
    assert not said(
        judge(program("x = CONFIG_A", types), target(config=CONFIG + "CONFIG_A=3\n")), "kconfig"
    )
