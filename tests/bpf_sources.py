"""BPF programs in C as a person writes them, for `build bpf`; each says what it saw."""

from __future__ import annotations

# With the kernel's own headers: the name that is made, and who the maker's parent is.
NESTED = """\
#include <linux/ptrace.h>
#include <linux/dcache.h>
#include <linux/fs_struct.h>
#include <linux/sched.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

SEC("kprobe/security_inode_mkdir")
int BPF_KPROBE(nested, struct inode *dir, struct dentry *dentry)
{
	struct task_struct *task = (void *)bpf_get_current_task(), *parent;
	const unsigned char *name;
	char said[32];
	int tgid;

	bpf_probe_read_kernel(&name, sizeof(name), &dentry->d_name.name);
	bpf_probe_read_kernel_str(said, sizeof(said), name);
	bpf_probe_read_kernel(&parent, sizeof(parent), &task->real_parent);
	bpf_probe_read_kernel(&tgid, sizeof(tgid), &parent->tgid);
	bpf_printk("%s is of %d", said, tgid);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
"""

# The same by CO-RE.
RELOCATED = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

SEC("kprobe/security_inode_mkdir")
int BPF_KPROBE(relocated, struct inode *dir, struct dentry *dentry)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	char said[32];

	bpf_probe_read_kernel_str(said, sizeof(said), BPF_CORE_READ(dentry, d_name.name));
	bpf_printk("%s is of %d", said, BPF_CORE_READ(task, real_parent, tgid));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
"""

# One of each way to be attached and to be heard; PERF has a perf buffer for the ring buffer.
EACH = """\
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event {
	__u32 wanted;
	char comm[16];
} *unused __attribute__((unused)); /* or else the object's BTF lacks it */

#ifdef PERF
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} samples SEC(".maps");
#else
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} samples SEC(".maps");
#endif
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

const volatile __u32 wanted;

static void count(__u32 key)
{
	__u64 none = 0, *value;

	bpf_map_update_elem(&counts, &key, &none, BPF_NOEXIST);
	value = bpf_map_lookup_elem(&counts, &key);
	if (value)
		__sync_fetch_and_add(value, 1);
}

SEC("tracepoint/syscalls/sys_enter_mkdirat")
int traced(void *ctx)
{
	struct event event = { .wanted = wanted };

	count(1);
	bpf_get_current_comm(event.comm, sizeof(event.comm));
#ifdef PERF
	bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, &event, sizeof(event));
#else
	bpf_ringbuf_output(&samples, &event, sizeof(event), 0);
#endif
	return 0;
}

SEC("raw_tp/sched_process_exec")
int raw(void *ctx)
{
	count(2);
	bpf_printk("raw of exec");
	return 0;
}

SEC("uprobe/libc.so.6:rmdir")
int probed(void *ctx)
{
	count(3);
	bpf_printk("uprobe of rmdir");
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
"""
