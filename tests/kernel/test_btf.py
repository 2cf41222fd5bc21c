from __future__ import annotations

import struct

import pytest

from droidheaders.kernel import btf as kinds
from droidheaders.kernel.btf import Btf, check, essential
from tests.bpf_objects import KERNEL, btf_of, compiled, kernel_btf


def test_types_are_found_by_name() -> None:
    kernel = kernel_btf()
    assert kernel.size_of_struct("list_head") == 16
    assert kernel.size_of_struct("list_hea") is None
    assert kernel.has_function("do_sys_openat2")
    assert not kernel.has_function("task_struct")
    assert kernel.find("task_struct", kinds.FUNC) == []
    assert kernel.find("") == []


def test_enumerators_have_their_sign() -> None:
    assert kernel_btf().enum("colour") == {"RED": 3, "GREEN": -1}
    assert kernel_btf().enum("nothing") == {}


def test_members_have_offsets_in_bits() -> None:
    kernel = kernel_btf()
    (task,) = kernel.find("task_struct", kinds.STRUCT)
    members = {one.name: one for one in kernel.members(task)}
    assert members["pid"].offset == 64
    assert (members["bits"].bits, members["odd"].bits, members["pid"].bits) == (3, 5, 0)
    assert kernel.size(members["tasks"].type) == 64
    assert kernel.size(members["parent"].type) == 8


def test_flavors_are_names_with_three_underscores() -> None:
    kernel = kernel_btf()
    assert [kernel.type(one).name for one in kernel.flavors("twice", kinds.STRUCT)] == [
        "twice",
        "twice___2",
    ]
    assert [essential(one) for one in ("a___b", "a____b", "a___", "___b", "a___b___c")] == [
        "a",
        "a____b",
        "a___",
        "___b",
        "a___b",
    ]


def test_many_strings_with_the_same_end_are_one_pass() -> None:
    fields = "".join(f"int f{number}_x;" for number in range(40))
    found = Btf(btf_of(compiled(f"struct x {{ {fields} }} *p; void *f() {{ return p; }}")))
    assert [found.type(one).name for one in found.find("x")] == ["x"]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[:20], "is too short"),
        (lambda data: b"\xeb\x9f" + data[2:], "is big-endian BTF"),
        (lambda data: data[:-1], "is cut off"),
        (lambda data: data + b"\0", "is cut off"),
        (lambda data: data[:28] + struct.pack("<I", 31 << 24) + data[32:], "kind 31"),
        (lambda data: data[:28] + struct.pack("<I", 4 << 24 | 0xFFFF) + data[32:], "damaged types"),
    ],
)
def test_damage_is_refused(damage, says: str) -> None:  # type: ignore[no-untyped-def]
    data = btf_of(compiled(KERNEL))
    with pytest.raises(ValueError, match=says):
        Btf(damage(data))


def test_a_header_may_be_longer_with_a_third_section() -> None:
    data = btf_of(compiled(KERNEL))
    header = struct.pack("<HBBI", 0xEB9F, 1, 0, 32) + data[8:24]
    strings_end = len(data) - 24
    longer = header + struct.pack("<II", strings_end, 8) + data[24:] + b"layout!!"
    check(longer)
    assert Btf(longer).has_function("do_sys_openat2")
    with pytest.raises(ValueError, match="cut off"):
        check(longer[:-1])


def test_types_that_refer_to_themselves_end() -> None:
    # one typedef, of type 1, which it is
    types = struct.pack("<III", 1, kinds.TYPEDEF << 24, 1)
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), 3)
    found = Btf(header + types + b"\0a\0")
    with pytest.raises(ValueError, match="refers to itself"):
        found.size(1)
    with pytest.raises(ValueError, match="no type 9"):
        found.type(9)
