// SPDX-License-Identifier: GPL-2.0
/* Programs that every kernel of ours takes, and that need something of the loader each. */
#include <linux/ptrace.h>
#include <stdbool.h>
#include "common.h"
#include <bpf/usdt.bpf.h>

int called, fired, given, entered, ticked, connections, lookups, dissected;

SEC("ksyscall/execve") int on_call(void *context)
{
	__sync_fetch_and_add(&called, 1);
	return 0;
}

/* Of tests/bpf/target.c. */
SEC("usdt//data/local/tmp/target:droid:fired") int on_usdt(struct pt_regs *context)
{
	long argument = 0;

	bpf_usdt_arg(context, 0, &argument);
	given = argument;
	__sync_fetch_and_add(&fired, 1);
	return 0;
}

SEC("uprobe//data/local/tmp/target:work") int on_work(void *context)
{
	__sync_fetch_and_add(&entered, 1);
	return 0;
}

SEC("perf_event") int on_clock(void *context)
{
	__sync_fetch_and_add(&ticked, 1);
	return 0;
}

SEC("sockops") int on_operation(struct bpf_sock_ops *operation)
{
	__sync_fetch_and_add(&connections, 1);
	return 1;
}

SEC("sk_lookup") int on_lookup(struct bpf_sk_lookup *lookup)
{
	__sync_fetch_and_add(&lookups, 1);
	return 1; /* SK_PASS */
}

SEC("flow_dissector") int on_flow(struct __sk_buff *packet)
{
	__sync_fetch_and_add(&dissected, 1);
	return 0; /* BPF_OK */
}
