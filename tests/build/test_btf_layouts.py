"""BTF made from headers against the BTF of the very kernels: the same layouts, the same CO-RE."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from droidheaders.build.bpftool import write_c
from droidheaders.build.btf import kernel_btf, vmlinux_h
from droidheaders.build.tools import find
from droidheaders.kernel.btf import ENUM, ENUM64, STRUCT, UNION, Btf
from droidheaders.objects.bpf import read_bpf
from droidheaders.objects.btf_ext import relocations
from droidheaders.objects.core import Resolution, Resolver
from tests.build.real_kernels import RealKernel, real
from tests.kernels import KERNELS

pytestmark = pytest.mark.guest

Layout = tuple[int, tuple[tuple[str, int, int], ...]]

# What programs that trace look into.
_WANTED = """
task_struct mm_struct vm_area_struct file files_struct fdtable dentry inode super_block path
vfsmount sock sock_common inet_sock tcp_sock udp_sock unix_sock sk_buff net net_device socket
iphdr ipv6hdr tcphdr udphdr ethhdr bio request request_queue gendisk cred nsproxy pid
signal_struct sighand_struct cgroup css_set irq_desc irqaction timer_list hrtimer work_struct
workqueue_struct pt_regs perf_event bpf_map bpf_prog module linux_binprm kiocb iov_iter
pipe_inode_info page zone mem_cgroup rq trace_event_raw_sched_switch pid_namespace uts_namespace
rw_semaphore mutex rcu_head list_head device kobject file_system_type seq_file poll_table_struct
inet_connection_sock request_sock rtable neighbour Qdisc scsi_cmnd mmc_host input_dev usb_device
i2c_client kprobe trace_event_call bpf_verifier_env bpf_sock_addr_kern sk_filter
"""
# Those are defined in no header, and programs that want them take the kernel's own BTF.
PRIVATE = {"workqueue_struct", "rq", "trace_event_raw_sched_switch"}


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> RealKernel:
    return real(request.param)


def made_of(kernel: RealKernel) -> Btf:
    made = kernel_btf(kernel.bundle, kernel.cache)
    assert made.made_from_headers
    assert made.left_out == {}
    return Btf(made.path.read_bytes())


def named(btf: Btf, *kinds: int) -> dict[tuple[int, str], list[int]]:
    """Return the ids of all types of these kinds that have a name."""
    found: dict[tuple[int, str], list[int]] = {}
    for number in range(1, len(btf)):
        one = btf.type(number)
        if one.kind in kinds and one.name:
            found.setdefault((one.kind, one.name), []).append(number)
    return found


def layout(btf: Btf, number: int) -> Layout:
    """Return the size of a struct or union, and name, offset and size of each member, in bits."""
    members = []

    def walk(inner: int, base: int) -> None:
        for one in btf.members(inner):
            plain = btf.plain(one.type)
            if one.name:
                members.append((one.name, base + one.offset, one.bits or btf.size(plain) * 8))
            elif btf.type(plain).kind in (STRUCT, UNION):
                walk(plain, base + one.offset)

    walk(number, 0)
    return btf.type(number).value, tuple(members)


def test_layouts_are_the_kernels(kernel: RealKernel) -> None:
    """Of one name there may be several in a kernel, of which one is that of the header."""
    made, own = made_of(kernel), Btf(kernel.btf)
    ours, theirs = named(made, STRUCT, UNION), named(own, STRUCT, UNION)
    both = ours.keys() & theirs.keys()
    wrong = [
        name
        for name in sorted(both)
        if not {layout(made, one) for one in ours[name]}
        <= {layout(own, one) for one in theirs[name]}
    ]
    assert wrong == []
    assert len(both) > 2700


def test_enumerators_are_the_kernels(kernel: RealKernel) -> None:
    """Where an enum is only declared, in a header or in the kernel, it has none."""
    made, own = made_of(kernel), Btf(kernel.btf)
    compared, wrong = 0, []
    for name in {name for _, name in named(made, ENUM, ENUM64)}:
        ours, theirs = made.enum(name), own.enum(name)
        both = ours.keys() & theirs.keys()
        compared += bool(both)
        # pahole before 1.24 cut values to 32 bits.
        wrong += [(name, one) for one in both if (ours[one] - theirs[one]) & 0xFFFFFFFF]
    assert wrong == []
    assert compared > 500


def test_what_programs_want_is_there(kernel: RealKernel) -> None:
    made, own = made_of(kernel), Btf(kernel.btf)
    there = {name for name in _WANTED.split() if made.find(name, STRUCT)}
    expected = {name for name in _WANTED.split() if own.find(name, STRUCT)} - PRIVATE
    assert expected - there == set()


PROGRAM = r"""
#include "vmlinux.h"
#define SEC(name) __attribute__((section(name), used))
#define READ(from) bpf_probe_read_kernel(&x, sizeof(from) & 7, &(from))
static void *(*bpf_get_current_task)(void) = (void *)35;
static long (*bpf_probe_read_kernel)(void *, u32, const void *) = (void *)113;
SEC("kprobe/do_sys_openat2") int prog(struct pt_regs *ctx)
{
	struct task_struct *t = bpf_get_current_task();
	u64 x = 0;
	READ(t->mm->mm_count); READ(t->signal->rlim[3].rlim_cur);
	READ(t->nsproxy->uts_ns->name.release);
	READ(t->cred->cap_effective); READ(t->files->fdt->fd); READ(t->real_parent->tgid);
	READ(((struct sock *)x)->sk_rcvbuf); READ(((struct sk_buff *)x)->len);
	READ(((struct tcp_sock *)x)->snd_cwnd); READ(((struct request *)x)->__sector);
	READ(((struct dentry *)x)->d_name.name); READ(((struct perf_event *)x)->attr.sample_period);
	x += __builtin_preserve_field_info(t->sched_reset_on_fork, 0);
	x += __builtin_preserve_field_info(t->sched_reset_on_fork, 1);
	x += __builtin_preserve_field_info(t->sched_reset_on_fork, 4);
	x += __builtin_preserve_field_info(((struct sk_buff *)x)->pkt_type, 5);
	x += __builtin_preserve_enum_value(*(enum pid_type *)PIDTYPE_SID, 1);
	x += __builtin_preserve_type_info(*(struct file *)0, 1);
	return x;
}
char LICENSE[] SEC("license") = "GPL";
"""


def resolved(data: bytes, kernel: Btf) -> list[Resolution]:
    file = read_bpf(data)
    assert file.btf
    (code,) = [one for one in file.code.values() if one.name.startswith("kprobe")]
    resolver = Resolver(file.btf, kernel)
    return [
        resolver.resolve(one, code.instructions[one.instruction].code)
        for one in relocations(file.ext, file.btf)
    ]


def test_relocations_become_the_same(kernel: RealKernel, tmp_path: Path) -> None:
    """An object of either vmlinux.h, on either BTF."""
    made, own = made_of(kernel), Btf(kernel.btf)
    (tmp_path / "own.btf").write_bytes(kernel.btf)
    write_c(find("bpftool"), tmp_path / "own.btf", tmp_path, "a kernel")
    target = kernel.bundle.meta["arch"]
    values = []
    for number, headers in enumerate((vmlinux_h(kernel.bundle, kernel.cache), tmp_path)):
        file = tmp_path / f"{number}.o"
        command = ["clang", "--target=bpf", f"-D__TARGET_ARCH_{target}", "-g", "-O2"]
        command += [f"-I{headers}", "-x", "c", "-c", "-", "-o", str(file)]
        subprocess.run(command, input=PROGRAM.encode(), check=True)
        for btf in (made, own):
            found = resolved(file.read_bytes(), btf)
            assert {one.outcome for one in found} == {"found"}
            values.append([(one.what, one.value) for one in found])
    assert len(values[0]) > 20
    assert all(one == values[0] for one in values)
