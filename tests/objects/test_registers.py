from __future__ import annotations

import pytest

from droidheaders.objects.bpf import read_bpf
from droidheaders.objects.registers import registers_of
from tests.bpf_objects import compiled

X86 = "struct pt_regs { long r15, r14, di, si; };"
ARM64 = "struct user_pt_regs { long regs[31], sp, pc, pstate; };"


def read(types: str, body: str, section: str = "kprobe/f", of: str = "struct pt_regs") -> str:
    source = f"""
    {types}
    __attribute__((section("{section}"), used)) int p({of} *ctx) {{ {body} }}
    char LICENSE[] __attribute__((section("license"), used)) = "GPL";
    """
    return registers_of(read_bpf(compiled(source)), "aarch64")


def test_another_architectures() -> None:
    assert read(X86, "return ctx->di;") == "x86_64"
    assert read(X86, "return ctx->di;", "kretprobe/f") == "x86_64"


@pytest.mark.parametrize(
    ("types", "body", "section", "of"),
    [
        (ARM64, "return ctx->regs[0];", "kprobe/f", "struct user_pt_regs"),
        (X86, "return 0;", "kprobe/f", "struct pt_regs"),
        (X86, "return ctx->di;", "tracepoint/a/b", "struct pt_regs"),
        ("", "return ctx[1];", "kprobe/f", "long"),
    ],
    ids=["its own", "not read", "no probe's", "nothing tells"],
)
def test_what_is_fine(types: str, body: str, section: str, of: str) -> None:
    assert read(types, body, section, of) == ""


def test_a_copy_of_the_context() -> None:
    """What is read behind a call is read through another register."""
    types = f"{X86} static long (*task)(void) = (void *)35;"
    assert read(types, "long t = task(); return t + ctx->di;") == "x86_64"
