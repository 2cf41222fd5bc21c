from __future__ import annotations

import struct

import pytest

from droidheaders.objects import bpf
from droidheaders.objects.bpf import read_bpf
from droidheaders.objects.maps import MapDefinition
from droidheaders.objects.program_sections import kinds, program_section
from droidheaders.preflight.program_types import COMMON, PROGRAM_TYPES
from tests.bpf_objects import HEAD, TAIL, compiled, program

WHOLE = f"""{HEAD}
struct {{ int (*type)[1]; int (*max_entries)[1024]; u32 *key; u64 *value; }} counts SEC(".maps");
extern int LINUX_KERNEL_VERSION __attribute__((section(".kconfig")));
extern _Bool CONFIG_BPF_LSM __attribute__((section(".kconfig"), weak));
extern int bpf_some_kfunc(int) __attribute__((section(".ksyms")));
int counter;
static __attribute__((noinline)) int below(int x) {{ bpf_get_current_task(); return x * counter; }}
SEC("kprobe/one") int first(void *ctx) {{
  u32 key = 0;
  return !bpf_map_lookup_elem(&counts, &key) + below(LINUX_KERNEL_VERSION) + CONFIG_BPF_LSM;
}}
SEC("tp/two/three") int second(void *ctx) {{ return bpf_some_kfunc(3); }}
SEC("version") int made_for = 0x050a00;
{TAIL}"""


def test_an_object_says_what_it_has() -> None:
    file = read_bpf(compiled(WHOLE))
    assert [one.name for one in file.programs] == ["first", "second"]
    assert [one.name for one in file.subprograms] == ["below"]
    assert file.maps == (MapDefinition("counts", 1, 4, 8, 1024),)
    assert file.helpers() == {1: {"first"}, 35: {"below"}}
    assert file.kfuncs() == {"bpf_some_kfunc": {"second"}}
    assert {(one.name, one.section, one.weak) for one in file.externs} == {
        ("LINUX_KERNEL_VERSION", ".kconfig", False),
        ("CONFIG_BPF_LSM", ".kconfig", True),
        ("bpf_some_kfunc", ".ksyms", False),
    }
    assert (file.license, file.version, file.data) == ("GPL", 0x050A00, (".bss",))


def test_an_object_without_btf_has_the_rest() -> None:
    file = read_bpf(compiled(WHOLE, "-O2"))
    assert file.btf is None
    assert [one.name for one in file.programs] == ["first", "second"]
    assert file.kfuncs() == {"bpf_some_kfunc": {"second"}}


def test_maps_of_old_are_structs() -> None:
    source = (
        "struct bpf_map_def { unsigned type, key_size, value_size, max_entries, map_flags; };"
        'struct bpf_map_def old __attribute__((section("maps"), used)) = {2, 4, 8, 10, 0};'
        'int p(void *c) __attribute__((section("kprobe/x"), used)); int p(void *c) { return 0; }'
    )
    assert read_bpf(compiled(source, "-O2")).maps == (MapDefinition("old", 2, 4, 8, 10, True),)


def test_a_lone_text_section_is_a_program() -> None:
    file = read_bpf(compiled("int f(void *x) { return 1; }"))
    assert ([one.name for one in file.programs], file.subprograms) == (["f"], ())


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("kprobe/f", "kprobe", "f"),
        ("kprobe", "kprobe", ""),
        ("?fentry.s/f", "fentry", "f"),
        ("kretprobe.multi/f*", "kprobe.multi", "f*"),
        ("tp/a/b", "tracepoint", "a/b"),
        ("tc/ingress", "tc", ""),
        ("xdp.frags/devmap", "xdp", ""),
        ("cgroup/connect4", "cgroup_sock_addr", ""),
        ("cgroup_skb/egress", "cgroup_skb", ""),
        ("struct_ops/init", "struct_ops", "init"),
    ],
)
def test_sections_mean_what_libbpf_takes_them_for(name: str, kind: str, target: str) -> None:
    section = program_section(name)
    assert section
    assert (section.kind, section.target) == (kind, target)
    assert (section.sleepable, section.optional) == (".s" in name, name.startswith("?"))


@pytest.mark.parametrize("name", ["kprobe_old", "xdp/prog", "schedcls/x", "", "?", "fentrys/x"])
def test_other_sections_mean_nothing(name: str) -> None:
    assert program_section(name) is None


def test_every_kind_has_its_needs() -> None:
    assert kinds() <= set(PROGRAM_TYPES)
    assert set(COMMON.values()) <= set(PROGRAM_TYPES.values())
    assert all(name == one.name for name, one in PROGRAM_TYPES.items())


def sectioned(data: bytes, number: int, field: int, value: int) -> bytes:
    """Return the file with a field of a section header changed, in 8 bytes."""
    (at,) = struct.unpack_from("<Q", data, 40)
    at += 64 * number + field
    return data[:at] + struct.pack("<Q", value) + data[at + 8 :]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: b"", "is no ELF file"),
        (lambda data: data[:60], "is cut off: its header"),
        (lambda data: data[:4] + b"\x01" + data[5:], "is a 32-bit ELF file for BPF"),
        (lambda data: data[:5] + b"\x02" + data[6:], "is a big-endian ELF file"),
        (lambda data: data[:18] + b"\xb7\x00" + data[20:], "is for AArch64, not a BPF object"),
        (lambda data: data[:18] + b"\xfe\xfe" + data[20:], "is for machine 65278"),
        (lambda data: data[:16] + b"\x02\x00" + data[18:], "is linked"),
        (lambda data: data[:-64], "is cut off"),
        (lambda data: sectioned(data, 2, 32, 1 << 62), "is cut off: section .* ends behind"),
        (lambda data: data[:60] + b"\xff\xff" + data[62:], "sections, more than"),
    ],
)
def test_what_is_none_is_refused(damage, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        read_bpf(damage(program("x = t->pid", "struct task_struct { int pid; };")))


def test_sections_that_overlap_are_refused() -> None:
    data = compiled(WHOLE)
    (at,) = struct.unpack_from("<Q", data, 40)
    (count,) = struct.unpack_from("<H", data, 60)
    for number in range(1, count):
        data = sectioned(sectioned(data, number, 24, 0), number, 32, at)
    with pytest.raises(ValueError, match="overlap"):
        read_bpf(data)


def test_more_instructions_than_any_kernel_follows_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bpf, "_INSTRUCTIONS", 3)
    with pytest.raises(ValueError, match="has more than 3 instructions"):
        read_bpf(compiled(WHOLE))
