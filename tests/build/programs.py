"""BPF programs in C, one for each kind of headers."""

from __future__ import annotations

KERNEL = """\
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/fs_struct.h>
#include <linux/skbuff.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u64);
} seen SEC(".maps");

SEC("kprobe/do_sys_openat2")
int BPF_KPROBE(opened, int dfd, const char *name)
{
	struct task_struct *task = (void *)bpf_get_current_task(), *parent;
	u64 one = 1;
	u32 pid = 0;

	bpf_probe_read_kernel(&parent, sizeof(parent), &task->real_parent);
	bpf_probe_read_kernel(&pid, sizeof(pid), &parent->pid);
	pid += BPF_CORE_READ(task, mm, owner, tgid);
	bpf_map_update_elem(&seen, &pid, &one, BPF_ANY);
	return PT_REGS_PARM1(ctx) == 7;
}

SEC("kretprobe/do_sys_openat2")
int BPF_KRETPROBE(done, long status)
{
	bpf_printk("%ld", status);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
"""

# Nothing but what headers for programs promise; linux/bpf.h and others are below include/ too.
USER = """\
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/icmp.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

typedef unsigned long long u64;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, u64);
} seen SEC(".maps");

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	return eth->h_proto == bpf_htons(ETH_P_IP) ? XDP_PASS : XDP_DROP;
}

SEC("kprobe/do_sys_openat2")
int BPF_KPROBE(opened, int dfd)
{
	__u32 key = 0;
	u64 *count = bpf_map_lookup_elem(&seen, &key);

	if (count)
		*count += dfd;
	return PT_REGS_PARM1(ctx) == 7;
}

char LICENSE[] SEC("license") = "GPL";
"""

# Its includes are in both places, and what it does with them is not.
EITHER = """\
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tracepoint/sched/sched_switch")
int switched(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	int pid = 0;

	bpf_probe_read_kernel(&pid, sizeof(pid), &task->pid);
	return pid == 1;
}

char LICENSE[] SEC("license") = "GPL";
"""

CORE = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u64);
} seen SEC(".maps");

SEC("kprobe/do_sys_openat2")
int BPF_KPROBE(opened, int dfd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u32 pid = BPF_CORE_READ(task, real_parent, tgid);
	u64 one = 1;

	bpf_map_update_elem(&seen, &pid, &one, BPF_ANY);
	return PT_REGS_PARM1(ctx) == 7;
}

char LICENSE[] SEC("license") = "GPL";
"""
