// SPDX-License-Identifier: GPL-2.0
/* Ring buffers and perf buffers: each sample is a record. */
#include "loader.h"
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

#define PAGES 64 /* for each CPU, of a perf buffer */
#define TURN 1024 /* samples of one buffer; then others have theirs */

static struct buffer {
	const char *map;
	const struct btf *btf;
	__u32 type; /* of what is in it, or 0 */
	size_t size;
	struct ring_buffer *ring;
	struct perf_buffer *perf;
	int taken;
} buffers[64];
static size_t count;

static void write_record(struct buffer *buffer, int cpu, const void *data, size_t size)
{
	if (drops(size))
		return;
	begin("record");
	add_string("map", buffer->map);
	if (cpu < 0)
		add_null("cpu");
	else
		add_number("cpu", cpu);
	add_number("size", (long long)size);
	/* A perf buffer's are filled up, so that with their length they are a multiple of 8. */
	if (!buffer->type || size < buffer->size || size >= buffer->size + 8 ||
	    !add_value("text", buffer->btf, buffer->type, data, buffer->size))
		if (is_text(data, size))
			add_bytes("text", data, strnlen(data, size));
	add_base64("data", data, size);
	end_line_or_drop();
}

/* An endless stream would keep libbpf from returning; the samples after a turn stay there. */
static int take_sample(void *context, void *data, size_t size)
{
	struct buffer *buffer = context;

	write_record(buffer, -1, data, size);
	return ++buffer->taken < TURN ? 0 : -EAGAIN;
}

static void take_perf_sample(void *context, int cpu, void *data, __u32 size)
{
	write_record(context, cpu, data, size);
}

static void take_lost(void *context, int cpu, __u64 lost)
{
	struct buffer *buffer = context;

	(void)cpu;
	begin("lost");
	add_string("map", buffer->map);
	add_number("count", (long long)lost);
	end_line_or_drop();
}

/* --event MAP=STRUCT, else `struct event` where there is one. */
static void find_type(struct buffer *buffer, const struct btf *btf)
{
	const char *name = "event";
	bool asked = false;
	int type;

	for (size_t i = 0; i < options.event.count; i++) {
		const char *word = options.event.word[i], *what = strchr(word, '=');
		size_t size = what ? (size_t)(what - word) : 0;

		if (what && !strncmp(word, buffer->map, size) && !buffer->map[size]) {
			name = what + 1;
			asked = true;
		}
	}
	type = btf ? btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT) : -ENOENT;
	if (type < 0 && btf && asked)
		type = btf__find_by_name(btf, name);
	if (type < 0 && asked)
		fail("map", NULL, NULL, ENOENT, "the object has no type named %s", name);
	if (type > 0) {
		long long size = btf__resolve_size(btf, (__u32)type);

		buffer->btf = btf;
		buffer->type = size > 0 ? (__u32)type : 0;
		buffer->size = size > 0 ? (size_t)size : 0;
	}
}

static void open_one(struct bpf_map *map, const struct btf *btf)
{
	struct buffer *buffer = &buffers[count];

	if (count == COUNT(buffers))
		fail("map", NULL, NULL, E2BIG, "more than %zu ring and perf buffers", count);
	buffer->map = bpf_map__name(map);
	find_type(buffer, btf);
	if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF)
		buffer->ring = ring_buffer__new(bpf_map__fd(map), take_sample, buffer, NULL);
	else
		buffer->perf = perf_buffer__new(bpf_map__fd(map), PAGES, take_perf_sample,
						take_lost, buffer, NULL);
	if (!buffer->ring && !buffer->perf)
		fail("map", NULL, NULL, errno, "the buffer %s was not opened", buffer->map);
	count++;
}

/* Every --event names a buffer that is there. */
static void check_events(struct bpf_object *object)
{
	for (size_t i = 0; i < options.event.count; i++) {
		char name[LONGEST_NAME];

		snprintf(name, sizeof(name), "%s", options.event.word[i]);
		if (!split(name, '='))
			fail("map", NULL, NULL, EINVAL, "--event %s is not MAP=STRUCT", name);
		if (!bpf_object__find_map_by_name(object, name))
			fail("map", NULL, NULL, ENOENT, "the object has no map named %s", name);
	}
}

void open_records(struct bpf_object *object)
{
	struct bpf_map *map;

	check_events(object);
	bpf_object__for_each_map(map, object)
		if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF ||
		    bpf_map__type(map) == BPF_MAP_TYPE_PERF_EVENT_ARRAY)
			open_one(map, bpf_object__btf(object));
}

size_t poll_records(struct pollfd *fds, size_t room)
{
	size_t used = 0;

	for (size_t i = 0; i < count && used < room; i++, used++)
		fds[used] = (struct pollfd){ .events = POLLIN,
					     .fd = buffers[i].ring ?
							   ring_buffer__epoll_fd(buffers[i].ring) :
							   perf_buffer__epoll_fd(buffers[i].perf) };
	return used;
}

/* Not by what poll() said: perf_poll() in kernel/events/core.c tells of a sample only once. */
bool read_records(void)
{
	bool more = false;

	for (size_t i = 0; i < count; i++) {
		buffers[i].taken = 0;
		if (buffers[i].ring)
			ring_buffer__consume(buffers[i].ring);
		else
			perf_buffer__consume(buffers[i].perf);
		more = more || buffers[i].taken >= TURN;
	}
	return more;
}

void close_records(void)
{
	for (size_t i = 0; i < count; i++) {
		ring_buffer__free(buffers[i].ring);
		perf_buffer__free(buffers[i].perf);
	}
	count = 0;
}
