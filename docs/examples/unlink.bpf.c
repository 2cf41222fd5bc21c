// SPDX-License-Identifier: GPL-2.0
// Who removes files: read out of the kernel's own structures, with the kernel's own headers.
#include <linux/sched.h>
#include <linux/fs.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

SEC("kprobe/do_unlinkat")
int BPF_KPROBE(unlinked, int dfd, struct filename *name)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	const char *path = BPF_CORE_READ(name, name);
	char text[64];

	bpf_probe_read_kernel_str(text, sizeof(text), path);
	bpf_printk("%s removed by a child of %d", text, BPF_CORE_READ(task, real_parent, tgid));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
