// SPDX-License-Identifier: GPL-2.0
/* More output than any reader takes. */
#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} ring SEC(".maps");

const volatile _Bool samples;
u64 written;

SEC("kprobe/security_inode_rmdir") int on_rmdir(void *context)
{
	static const char line[] =
		"a line of a flood that nobody can drink as fast as it comes, long as it is";

	for (int i = 0; i < 1024; i++) {
		if (samples)
			bpf_ringbuf_output(&ring, (void *)line, sizeof(line), 0);
		else
			bpf_trace_printk(line, sizeof(line));
	}
	written += 1024;
	return 0;
}
