// SPDX-License-Identifier: GPL-2.0
/* More memory than RLIMIT_MEMLOCK allows at first, and samples that are large. */
#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, char[8192]);
} sample SEC(".maps");

u64 written, refused;

SEC("kprobe/security_inode_create") int on_create(void *context)
{
	int key = 0;
	void *data = bpf_map_lookup_elem(&sample, &key);

	if (!data)
		return 0;
	for (int i = 0; i < 128; i++) {
		if (bpf_ringbuf_output(&ring, data, 8192, 0))
			refused++;
		else
			written++;
	}
	return 0;
}
