// SPDX-License-Identifier: GPL-2.0
/* Variables, maps and buffers of all kinds. */
#include "common.h"

enum colour { RED = 1, GREEN = 7 };
struct event {
	int number, wanted;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} ring SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} perf SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, int);
	__type(value, struct event);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} hash SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, int);
} each SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 6);
} untyped SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, char[8]);
	__type(value, enum colour);
} words SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} jumps SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 200000);
	__type(key, int);
	__type(value, u64);
} large SEC(".maps");

const volatile int wanted;
const volatile _Bool loud;
const volatile enum colour colour;
const volatile char name[8] = "?";
volatile signed char small = 5;
volatile struct {
	int one;
	struct {
		u64 two;
	} in;
} config;
int jumped;

SEC("kprobe/security_inode_rmdir") int on_rmdir(void *context)
{
	struct event event = { .number = config.one + small, .wanted = wanted }, *sample;

	bpf_get_current_comm(event.comm, sizeof(event.comm));
	if (loud) {
		char said[8];

		for (int i = 0; i < (int)sizeof(said); i++)
			said[i] = name[i];
		bpf_printk("%s is %d, %d", said, colour, event.number);
	}
	bpf_map_update_elem(&hash, &event.number, &event, BPF_ANY);
	sample = bpf_ringbuf_reserve(&ring, sizeof(*sample), 0);
	if (sample) {
		*sample = event;
		bpf_ringbuf_submit(sample, 0);
	}
	bpf_perf_event_output(context, &perf, BPF_F_CURRENT_CPU, &event, sizeof(event));
	bpf_tail_call(context, &jumps, 1);
	return 0;
}

SEC("kprobe/security_inode_mkdir") int on_mkdir(void *context)
{
	char said[] = "a line of text";
	char raw[] = { 1, 2, 3 };

	bpf_perf_event_output(context, &perf, BPF_F_CURRENT_CPU, said, sizeof(said));
	bpf_ringbuf_output(&ring, raw, sizeof(raw), 0);
	return 0;
}

/* Called by on_rmdir. */
SEC("kprobe/security_inode_rmdir") int jump(void *context)
{
	jumped++;
	return 0;
}
