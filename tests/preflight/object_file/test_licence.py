"""Whether the licence and version of a BPF object suit a kernel."""

from __future__ import annotations

import pytest

from droidheaders.preflight.object_file import judge
from tests.bpf_objects import HEAD, compiled, program, target
from tests.preflight.object_file.saying import said

TASK = "struct task_struct { int pid; };"


def program_of(licence: str) -> bytes:
    body = f'{HEAD} SEC("kprobe/f") int prog(u64 *ctx) {{ int x; READS(&x, 4, ctx); return x; }}'
    last = "#pragma clang attribute pop\n"
    named = f'char LICENSE[] SEC("license") = "{licence}";' if licence else ""
    return compiled(f"{body}\n{last}{named}")


@pytest.mark.parametrize(
    ("license", "verdict"), [("Dual BSD/GPL", "yes"), ("Proprietary", "no"), ("", "no")]
)
def test_helpers_for_the_gpl(license: str, verdict: str) -> None:  # noqa: A002
    source = program_of(license)
    (answer,) = [one for one in judge(source, target()).details if one.name == "license"]
    assert answer.verdict == verdict
    assert verdict == "yes" or "bpf_probe_read_kernel" in answer.because


def test_a_version_section_of_another_kernel() -> None:
    source = program("x = 1", TASK + 'SEC("version") int made_for = 0x041300;')
    old = judge(source, target("4.14.199-perf", btf=False))
    assert "its version section is of 4.19.0" in said(old, "version", "no")[0]
    assert not said(judge(source, target("4.19.0", btf=False)), "version")
    assert not said(judge(source, target()), "version")
