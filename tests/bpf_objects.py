"""BPF objects, compiled by this host's clang, and kernels made of what clang writes into .BTF."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

from droidheaders.kernel.btf import Btf
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.objects import elf
from droidheaders.preflight.target import Target

HEAD = """
#define SEC(name) __attribute__((section(name), used))
#define READS(where, size, from) bpf_probe_read_kernel(where, size, from)
#define EXISTS(field) __builtin_preserve_field_info(field, 2)
typedef unsigned int u32; typedef unsigned long long u64;
static void *(*bpf_map_lookup_elem)(void *, const void *) = (void *)1;
static u64 (*bpf_get_current_task)(void) = (void *)35;
static long (*bpf_probe_read_kernel)(void *, u32, const void *) = (void *)113;
static void *(*bpf_ringbuf_reserve)(void *, u64, u64) = (void *)131;
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
"""
TAIL = """
#pragma clang attribute pop
char LICENSE[] SEC("license") = "GPL";
"""

# A kernel's types: a pointer to each keeps clang from leaving it out.
KERNEL = """
typedef unsigned int u32; typedef unsigned long long u64;
enum bpf_prog_type { BPF_PROG_TYPE_UNSPEC, BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE_TRACING = 26, BPF_PROG_TYPE_LSM = 29 } a;
enum bpf_attach_type { BPF_TRACE_RAW_TP = 23, BPF_TRACE_FENTRY, BPF_LSM_MAC = 27 } b;
enum bpf_map_type { BPF_MAP_TYPE_UNSPEC, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY } c;
enum bpf_func_id { BPF_FUNC_unspec, BPF_FUNC_map_lookup_elem, BPF_FUNC_get_current_task = 35,
  BPF_FUNC_probe_read_kernel = 113 } d;
enum colour { RED = 3, GREEN = -1 } e;
typedef void (*btf_trace_sched_switch)(void *); btf_trace_sched_switch f;
struct list_head { struct list_head *next, *prev; };
struct task_struct {
  u64 flags; int pid; union { int tgid; struct { int deep; }; };
  struct list_head tasks[4]; unsigned int __state; unsigned bits : 3; int odd : 5;
  struct task_struct *parent; long number; char comm[16]; int tail[];
} *g;
struct twice { int one; } *h; struct twice___2 { long before; int one; } *i;
int do_sys_openat2(int x) { return x + f + g->pid + h->one + i->one + a + b + c + d + e; }
int bpf_lsm_file_open(int x) { return x; }
int bpf_iter_task(int x) { return x; }
""".replace("x + f + g", "x + (f != 0) + g")

CONFIG = """
CONFIG_BPF_SYSCALL=y
CONFIG_BPF_EVENTS=y
CONFIG_BPF_JIT=y
CONFIG_BPF_LSM=y
CONFIG_KPROBE_EVENTS=y
CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y
CONFIG_DEBUG_INFO_BTF=y
CONFIG_LSM="lockdown,selinux,bpf"
CONFIG_HZ=250
# CONFIG_FTRACE_SYSCALLS is not set
"""


# A body and the types of a program that has something of everything.
ALL = (
    """
    u32 key = 0; x = t->flags + LINUX_KERNEL_VERSION + counter++ + bpf_other(3);
    if (EXISTS(t->foo)) READS(&x, 4, &t->foo); else READS(&x, 4, &t->tasks[2].prev);
    x += __builtin_preserve_type_info(*(struct list_head *)0, 1);
    x += __builtin_preserve_type_info(*(struct task_struct *)0, 0);
    x += __builtin_preserve_enum_value(*(enum colour *)GREEN, 1);
    if (bpf_map_lookup_elem(&counts, &key)) return below(x)
    """,
    """
    struct list_head { struct list_head *next, *prev; }; enum colour { GREEN, RED };
    struct task_struct { u64 flags; int foo; struct { struct list_head tasks[9]; }; };
    struct { int (*type)[1]; int (*max_entries)[8]; u32 *key; u64 *value; } counts SEC(".maps");
    extern int LINUX_KERNEL_VERSION __attribute__((section(".kconfig")));
    extern int bpf_other(int) __attribute__((section(".ksyms")));
    static volatile int counter;
    static __attribute__((noinline)) int below(int x) { return bpf_get_current_task() + x; }
    """,
)


@cache
def compiled(source: str, *flags: str) -> bytes:
    """Return the object of a source."""
    with tempfile.TemporaryDirectory() as place:
        command = ["clang", "--target=bpf", "-x", "c", "-c", "-o", f"{place}/o", "-", *flags]
        done = subprocess.run(
            [*command, *(() if flags else ("-O2", "-g"))],
            input=source.encode(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return Path(place, "o").read_bytes()


def program(body: str, types: str = "", section: str = "kprobe/do_sys_openat2") -> bytes:
    """Return an object with one program, named prog, which has a task t and an int x."""
    return compiled(
        f"{HEAD}{types}\n"
        f'SEC("{section}") int prog(u64 *ctx) {{'
        f" struct task_struct *t = (void *)bpf_get_current_task(); int x = 0; {body}; return x; }}"
        f"{TAIL}"
    )


def btf_of(data: bytes) -> bytes:
    """Return the section .BTF of an object."""
    section = elf.read(data).section(".BTF")
    assert section
    return bytes(section.data)


@cache
def encoded(source: str) -> bytes:
    """Return the BTF of a source as a kernel's is made, by pahole: types and names only."""
    with tempfile.TemporaryDirectory() as place:
        command = ["clang", "-g", "-gdwarf-4", "-x", "c", "-c", "-o", f"{place}/o", "-"]
        subprocess.run(command, input=source.encode(), check=True)
        command = ["pahole", f"--btf_encode_detached={place}/btf", f"{place}/o"]
        subprocess.run(command, check=True)
        return Path(place, "btf").read_bytes()


@cache
def kernel_btf() -> Btf:
    """Return the BTF of a small kernel."""
    return Btf(btf_of(compiled(KERNEL)))


def target(
    release: str = "6.6.1",
    machine: str = "x86_64",
    *,
    config: str | None = CONFIG,
    btf: bool = True,
    headers: Path | None = None,
) -> Target:
    """Return a kernel to judge by."""
    return Target(
        "a kernel",
        KernelIdentity(release, "", machine, ""),
        config=None if config is None else Kconfig.parse(config),
        btf=kernel_btf() if btf else None,
        headers=headers,
    )
