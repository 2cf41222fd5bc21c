// SPDX-License-Identifier: GPL-2.0
/* What bpftool can attach, and what it cannot. */
#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, int);
} counts SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} each SEC(".maps");

SEC("kprobe/security_inode_rmdir") int on_rmdir(void *context)
{
	int key = 7, one = 1, zero = 0, *value;

	bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
	value = bpf_map_lookup_elem(&each, &zero);
	if (value)
		++*value;
	bpf_printk("a directory is removed");
	return 0;
}

SEC("socket") int on_packet(struct __sk_buff *packet)
{
	return 0;
}
