from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from droidheaders.build.assembly import directive


def ir(tmp_path: Path, text: str) -> bytes:
    source = tmp_path / "a.c"
    source.write_text(text)
    words = ["--target=bpf", "-S", "-emit-llvm", "-Xclang", "-disable-llvm-passes", "-g"]
    subprocess.run(
        ["clang", *words, str(source), "-o", str(tmp_path / "a.ll")], check=True, stderr=-3
    )
    return (tmp_path / "a.ll").read_bytes()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('asm(".incbin \\"/etc/passwd\\"");', ".incbin"),
        ('asm("\\t.INCBIN \\"/etc/passwd\\"");', ".INCBIN"),
        ('asm("r0 = 0 ; .incbin \\"x\\"");', ".incbin"),
        ('asm(".irp x,incbin\\n.\\\\x \\"/etc/passwd\\"\\n.endr");', ".irp"),
        ('asm("l: .include \\"/etc/passwd\\"");', ".include"),
        ('static __attribute__((used)) void f(void) { asm(".incbin \\"x\\""); }', ".incbin"),
        (
            'void f(int x) { asm volatile("r0 = %0\\n.incbin \\"x\\"" : : "r"(x) : "r0"); }',
            ".incbin",
        ),
        ('void f(void) { asm volatile("" ::: "memory"); }', ""),
        ('void f(int x) { asm volatile("r0 = %0" : : "r"(x) : "r0"); }', ""),
        ('void f(void) { asm volatile("if r0 == 0 goto +1\\nr0 = 1" : : : "r0"); }', ""),
        ('const char *f(void) { return "asm \\".incbin\\""; }', ""),
    ],
)
def test_what_the_assembler_would_do(tmp_path: Path, text: str, named: str) -> None:
    assert directive(ir(tmp_path, text)) == named
