"""The report on a BPF object."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from droidheaders.preflight.answer import Answer, worst
from droidheaders.preflight.object_file import judge
from tests.bpf_objects import compiled, program, target
from tests.preflight.object_file.saying import said

TASK = "struct task_struct { int pid; };"


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
        "relocations": {
            "by": "kernel",
            "total": 1,
            "found": 1,
            "absent": 0,
            "guarded": 0,
            "failing": [],
        },
    }
    json.dumps(report.facts)


def test_a_kernel_of_which_nothing_is_known() -> None:
    report = judge(program("x = 1", TASK), target("what?", config=None, btf=False))
    assert {one.verdict for one in report.details if one.name in ("programs", "helpers")} == {
        "unknown"
    }


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
