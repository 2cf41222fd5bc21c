from __future__ import annotations

from dataclasses import replace

import pytest

from droidheaders.objects.bpf import read_bpf
from droidheaders.objects.btf_ext import Lines, relocations
from droidheaders.objects.core import TYPE_MATCHES, Resolution, Resolver
from tests.bpf_objects import kernel_btf, program


def resolved(body: str, types: str) -> list[Resolution]:
    """Return what became of each relocation of a program."""
    file = read_bpf(program(body, types))
    assert file.btf
    (code,) = [one for one in file.code.values() if one.name.startswith("kprobe")]
    resolver = Resolver(file.btf, kernel_btf())
    return [
        resolver.resolve(one, code.instructions[one.instruction].code)
        for one in relocations(file.ext, file.btf)
    ]


def reading(field: str, members: str, more: str = "") -> list[Resolution]:
    body = f"READS(&x, 4, &t->{field})"
    return resolved(body, f"{more} struct task_struct {{ {members} }};")


@pytest.mark.parametrize(
    ("field", "members", "offset"),
    [
        ("pid", "int pid;", 8),
        ("pid", "long other[9]; int pid;", 8),
        ("tgid", "int tgid;", 12),  # in an anonymous union there
        ("tgid", "struct { int tgid; };", 12),
        ("deep", "int deep;", 12),
        ("__state", "long __state;", 80),  # integers of any size, where it is not a load
        ("tasks[2].prev", "struct list_head tasks[9];", 16 + 2 * 16 + 8),
        ("comm[3]", "char comm[8];", 104 + 3),
        ("tail[7]", "int tail[9];", 120 + 28),  # a flexible array is as long as one likes
    ],
)
def test_fields_are_found_by_name(field: str, members: str, offset: int) -> None:
    found = reading(field, members, "struct list_head { struct list_head *next, *prev; };")
    assert [(one.outcome, one.value) for one in found] == [("found", offset)]
    assert found[0].what == f"struct task_struct.{field}"


@pytest.mark.parametrize(
    ("field", "members"),
    [
        ("gone", "int gone;"),
        ("pid", "int *pid;"),  # a pointer is no int
        ("comm[16]", "char comm[17];"),  # behind the kernel's array
        ("tasks[4].next", "struct list_head tasks[9];"),
        ("parent", "struct { int a; } parent;"),
    ],
)
def test_other_fields_are_missing(field: str, members: str) -> None:
    found = reading(field, members, "struct list_head { struct list_head *next, *prev; };")
    assert [one.outcome for one in found] == ["missing"]


def test_flavors_are_of_one_type() -> None:
    found = resolved(
        "READS(&x, 4, &((struct task_struct___old *)t)->pid)",
        "struct task_struct___old { long a; int pid; };",
    )
    assert [(one.what, one.value) for one in found] == [("struct task_struct___old.pid", 8)]


def test_types_that_disagree_are_refused() -> None:
    found = resolved("READS(&x, 4, &((struct twice *)t)->one)", "struct twice { int one; };")
    assert [(one.outcome, one.because) for one in found] == [
        ("refused", "types of that name have it at different offsets")
    ]


def test_a_load_of_another_size_must_be_unsigned() -> None:
    loads = "x = t->flags; x += t->number"
    same, shorter = resolved(loads, "struct task_struct { unsigned flags; int number; };")
    assert (same.outcome, shorter.outcome, shorter.because) == (
        "found",
        "missing",
        "it has another size",
    )


@pytest.mark.parametrize(
    ("asked", "outcome", "value"),
    [
        ("EXISTS(t->pid)", "found", 1),
        ("EXISTS(t->gone)", "absent", 0),
        ("__builtin_preserve_field_info(t->comm, 1)", "found", 16),
        ("__builtin_preserve_field_info(t->pid, 3)", "found", 1),
        ("__builtin_preserve_field_info(t->bits, 0)", "found", None),
        ("__builtin_preserve_field_info(t->gone, 1)", "missing", None),
        ("__builtin_preserve_type_info(*(struct task_struct *)0, 0)", "found", 1),
        ("__builtin_preserve_type_info(*(struct nothing *)0, 0)", "absent", 0),
        ("__builtin_preserve_type_info(*(struct list_head *)0, 1)", "found", 16),
        ("__builtin_preserve_type_info(*(struct nothing *)0, 1)", "absent", 0),
        ("__builtin_preserve_enum_value(*(enum colour *)GREEN, 0)", "found", 1),
        ("__builtin_preserve_enum_value(*(enum colour *)GREEN, 1)", "found", -1),
        ("__builtin_preserve_enum_value(*(enum colour *)BLUE, 0)", "absent", 0),
        ("__builtin_preserve_enum_value(*(enum colour *)BLUE, 1)", "missing", None),
    ],
)
def test_questions_have_answers(asked: str, outcome: str, value: int | None) -> None:
    types = (
        "struct task_struct { int pid, gone; char comm[9]; unsigned bits : 3; };"
        "struct nothing { int a; }; struct list_head { long a; };"
        "enum colour { GREEN, RED, BLUE };"
    )
    found = resolved(f"x = {asked}", types)
    assert [(one.outcome, one.value) for one in found] == [(outcome, value)]


@pytest.mark.parametrize(
    ("members", "matches"),
    [
        ("struct list_head *next;", True),
        ("struct list_head *next; long more;", False),
        ("struct nothing *next;", False),
        ("long next;", False),
    ],
)
def test_matching_compares_all_members(members: str, matches: bool) -> None:
    file = read_bpf(
        program(
            "x = __builtin_preserve_type_info(*(struct list_head *)0, 0)",
            f"struct nothing {{ int a; }}; struct list_head {{ {members} }};",
        )
    )
    assert file.btf
    (asked,) = relocations(file.ext, file.btf)
    # clang 14 cannot ask for a match: kind 12 came with clang 15.
    asked = replace(asked, kind=TYPE_MATCHES)
    found = Resolver(file.btf, kernel_btf()).resolve(asked, 0xB7)
    assert found.outcome == ("found" if matches else "absent")


def test_lines_are_of_the_source() -> None:
    file = read_bpf(program("x = t->pid", "struct task_struct { int pid; };"))
    assert file.btf
    (one,) = relocations(file.ext, file.btf)
    assert Lines(file.ext, file.btf).line(one.section, one.instruction).startswith("<stdin>:")
    assert Lines(file.ext, file.btf).line("other", 0) == ""
