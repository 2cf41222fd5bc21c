"""Kernels that modules are judged for, and what is asked of them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from droidheaders.kernel.btf import Btf
from droidheaders.kernel.compiler import Compiler
from droidheaders.kernel.exports import Export, Exports
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.objects.module import parse
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.module_file import judge
from droidheaders.preflight.target import Target
from tests.modules import RELEASE, VERMAGIC, module

OPTIONS = {
    "MODULES": "y",
    "MODULE_UNLOAD": "y",
    "MODVERSIONS": "y",
    "SMP": "y",
    "PREEMPT": "y",
    "MODULE_SIG": "y",
}
CRCS = {"module_layout": 0x11, "_printk": 0x22, "kfree": 0x33}
EXPORTS = {name: Export(crc, "", False, "vmlinux") for name, crc in CRCS.items()}
GCC = Compiler("gcc", (12, 2, 0), "", "")
CLANG14 = Compiler("clang", (14, 0, 7), "", "")
CLANG17 = Compiler("clang", (17, 0, 2), "", "")


def btf(size: int) -> Btf:
    """Return BTF with nothing but a struct module of that size."""
    types = struct.pack("<III", 1, 4 << 24, size)
    strings = b"\0module\0"
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return Btf(head + types + strings)


def config(**options: str) -> Kconfig:
    return Kconfig({f"CONFIG_{name}": value for name, value in (OPTIONS | options).items()})


TARGET = Target(
    name="the device",
    kernel=KernelIdentity(RELEASE, "#1", "aarch64", ""),
    config=config(),
    vermagic=VERMAGIC,
    compiler=GCC,
    exports=Exports(EXPORTS, complete=True, source="Module.symvers"),
    btf=btf(896),
)
NOTHING = Target("a kernel", KernelIdentity(RELEASE, "#1", "aarch64", ""))
GOOD: dict[str, Any] = {"undefined": ("_printk", "kfree"), "versions": CRCS}


def exports(complete: bool = True, **changed: Export) -> Exports:
    return Exports(EXPORTS | changed, complete=complete, source="Module.symvers")


def target(**changes: Any) -> Target:
    options = changes.pop("options", None)
    if options is not None:
        changes["config"] = config(**options)
    return replace(TARGET, **changes)


def kernel(release: str, machine: str = "aarch64", **changes: Any) -> Target:
    return target(kernel=KernelIdentity(release, "#1", machine, ""), **changes)


def answers(of: Target, data: bytes | None = None, **made: Any) -> dict[str, Answer]:
    report = judge(parse(data or module(**GOOD | made)), of)
    return {answer.name: answer for answer in report.details}


Case = tuple[str, str, Target, Mapping[str, Any], str]
"""A question's name, the verdict, of which kernel and module, and a piece of the reason."""


def holds(case: Case) -> None:
    """Fail when the answer is another one, or not fit for a sentence."""
    name, verdict, of, made, because = case
    answer = answers(of, **made)[name]
    assert (answer.verdict, because in answer.because) == (verdict, True), answer
    assert answer.because.isprintable()
    assert not answer.because.endswith(".")
