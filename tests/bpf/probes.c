// SPDX-License-Identifier: GPL-2.0
/* Probes and events: each program counts how often it ran. */
#include "common.h"

int kprobed, kretprobed, traced, raw_traced, clocked, uprobed, uretprobed, offset_probed;
int parent;

struct task_struct {
	int tgid;
	struct task_struct *parent;
} __attribute__((preserve_access_index));

SEC("kprobe/security_inode_rmdir") int on_kprobe(void *context)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	parent = BPF_CORE_READ(task, parent, tgid);
	kprobed++;
	return 0;
}

SEC("kretprobe/security_inode_rmdir") int on_kretprobe(void *context)
{
	kretprobed++;
	return 0;
}

SEC("tracepoint/sched/sched_process_exec") int on_tracepoint(void *context)
{
	traced++;
	return 0;
}

SEC("raw_tp/sched_process_exec") int on_raw_tracepoint(void *context)
{
	raw_traced++;
	return 0;
}

SEC("perf_event") int on_clock(void *context)
{
	clocked++;
	return 0;
}

SEC("uprobe/libc.so.6:rmdir") int on_uprobe(void *context)
{
	uprobed++;
	return 0;
}

SEC("uretprobe/libc.so.6:rmdir") int on_uretprobe(void *context)
{
	uretprobed++;
	return 0;
}

SEC("uprobe/libc.so.6:rmdir+0x0") int on_offset(void *context)
{
	offset_probed++;
	return 0;
}

/* Not loaded at all. */
SEC("?kprobe/there_is_no_such_function") int on_nothing(void *context)
{
	return 0;
}
