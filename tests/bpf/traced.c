// SPDX-License-Identifier: GPL-2.0
/* Programs that name their target by the kernel's BTF, and need no trampoline. */
#include "common.h"

struct task_struct {
	int tgid;
	char comm[16];
} __attribute__((preserve_access_index));
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id, seq_num;
} __attribute__((preserve_access_index));
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

int traced;

SEC("tp_btf/sched_process_exec") int BPF_PROG(on_exec, struct task_struct *task)
{
	traced++;
	return 0;
}

SEC("iter/task") int each_task(struct bpf_iter__task *context)
{
	static const char format[] = "task %d %s\n";
	struct task_struct *task = context->task;
	u64 arguments[2];

	if (!task)
		return 0;
	arguments[0] = task->tgid;
	arguments[1] = (u64)&task->comm;
	bpf_seq_printf(context->meta->seq, format, sizeof(format), arguments, sizeof(arguments));
	return 0;
}
