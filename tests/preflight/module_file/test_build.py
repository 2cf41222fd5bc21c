"""Whether a module was built as its kernel was."""

from __future__ import annotations

import pytest

from tests.modules import CLANG, module
from tests.preflight.module_file.kernels import (
    CLANG14,
    CLANG17,
    GOOD,
    TARGET,
    Case,
    answers,
    btf,
    holds,
    kernel,
    target,
)

CASES: list[Case] = [
    ("layout", "yes", TARGET, {}, "has 896 bytes, as in the kernel's BTF"),
    ("layout", "yes", target(btf=None), {}, "the CRC of module_layout is the kernel's"),
    ("layout", "unknown", target(btf=None, exports=None), {}, "no BTF tells"),
    ("layout", "no", target(btf=btf(960)), {}, "would corrupt memory"),
    ("layout", "no", kernel("6.6.1", btf=btf(960)), {}, "Exec format error"),
    ("layout", "no", TARGET, {"this_module": 0}, "no .gnu.linkonce.this_module"),
    ("compiler", "yes", TARGET, {}, "gcc 12.2.0 built both"),
    ("compiler", "unknown", TARGET, {"comment": b""}, "built the module is not known"),
    ("compiler", "unknown", target(compiler=None), {}, "built the kernel is not known"),
    ("compiler", "risky", target(compiler=CLANG14), {}, "gcc 12.2.0 built it, and clang 14.0.7"),
    ("compiler", "yes", target(compiler=CLANG17), {"comment": CLANG}, "clang 14.0.7 built it"),
    (
        "compiler",
        "risky",
        target(compiler=CLANG17, options={"SHADOW_CALL_STACK": "y", "LTO_CLANG": "y"}),
        {"comment": CLANG},
        "with LTO and SCS",
    ),
    ("compiler", "no", target(compiler=CLANG14, options={"CFI_CLANG": "y"}), {}, "would panic"),
    (
        "compiler",
        "no",
        kernel("5.15.1", compiler=CLANG14, options={"CFI_CLANG": "y"}),
        {"comment": CLANG},
        "would panic",
    ),
    (
        "compiler",
        "yes",
        kernel("5.15.1", compiler=CLANG14, options={"CFI_CLANG": "y"}),
        {"comment": CLANG, "labels": {"__cfi_check": ("", 0)}},
        "clang 14.0.7 built both",
    ),
    (
        "compiler",
        "risky",
        target(compiler=CLANG14, options={"CFI_CLANG": "y", "CFI_PERMISSIVE": "y"}),
        {},
        "gcc 12.2.0 built it",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{c[0]}-{c[1]}" for n, c in enumerate(CASES)])
def test_an_answer(case: Case) -> None:
    holds(case)


def test_an_arm64_module_without_plt_sections_is_refused_as_the_kernel_does() -> None:
    bare = module(**GOOD).replace(b".init.plt\0", b".none.plt\0")
    assert answers(kernel("6.6.1"), bare)["layout"].verdict == "no"
    assert answers(target(options={"ARM64_MODULE_PLTS": "y"}), bare)["layout"].verdict == "no"
    assert answers(TARGET, bare)["layout"].verdict == "yes"
