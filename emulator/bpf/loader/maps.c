// SPDX-License-Identifier: GPL-2.0
/* Entries of maps: those given on the command line, and what is in them at the end. */
#include "loader.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST (256 << 10) /* a value of all CPUs together */

/* include/uapi/linux/bpf.h since 6.2 (c4bcfb38a95e) */
enum { CGRP_STORAGE = 32 };

static unsigned char key[64 << 10], next_key[64 << 10], value[LARGEST];

static bool has_entries(const struct bpf_map *map)
{
	switch ((int)bpf_map__type(map)) {
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
	case BPF_MAP_TYPE_QUEUE:
	case BPF_MAP_TYPE_STACK:
	case BPF_MAP_TYPE_BLOOM_FILTER:
	case BPF_MAP_TYPE_USER_RINGBUF:
	case BPF_MAP_TYPE_STRUCT_OPS:
	case CGRP_STORAGE: /* keys are file descriptors of somebody */
	case BPF_MAP_TYPE_TASK_STORAGE:
	case BPF_MAP_TYPE_INODE_STORAGE:
	case BPF_MAP_TYPE_SK_STORAGE:
		return false;
	default:
		return true;
	}
}

/* How many values a value is, one for each CPU, and how far they are apart. */
static size_t cpus_of(const struct bpf_map *map, size_t *stride)
{
	size_t size = bpf_map__value_size(map);

	*stride = size;
	switch ((int)bpf_map__type(map)) {
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
	case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
		*stride = (size + 7) / 8 * 8;
		return (size_t)libbpf_num_possible_cpus();
	default:
		return 1;
	}
}

static bool is_of_files(const struct bpf_map *map)
{
	return bpf_map__type(map) == BPF_MAP_TYPE_PROG_ARRAY;
}

static struct bpf_map *map_named(struct bpf_object *object, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	if (!map)
		fail("map", NULL, NULL, ENOENT, "the object has no map named %s", name);
	return map;
}

/* For an array of programs, a program's name. */
static void parse_map_value(struct bpf_object *object, const struct bpf_map *map, char *text)
{
	size_t stride, cpus = cpus_of(map, &stride), size = bpf_map__value_size(map);
	const struct bpf_program *program;
	bool good;

	if (is_of_files(map)) {
		int fd = (program = bpf_object__find_program_by_name(object, text)) ?
				 bpf_program__fd(program) :
				 -1;

		good = fd >= 0;
		memcpy(value, &fd, sizeof(fd));
	} else {
		good = parse_value(bpf_object__btf(object), bpf_map__btf_value_type_id(map), size,
				   text, value);
	}
	if (!good)
		fail("map", NULL, NULL, EINVAL, "%s has values of %zu bytes, and \"%s\" is none",
		     bpf_map__name(map), size, text);
	for (size_t cpu = 1; cpu < cpus; cpu++)
		memcpy(value + cpu * stride, value, size);
}

static void set_entry(struct bpf_object *object, char *name, char *entry)
{
	struct bpf_map *map = map_named(object, name);
	size_t stride, cpus = cpus_of(map, &stride), key_size = bpf_map__key_size(map);
	char *text = split(entry, ':');
	int error;

	if (!text)
		fail("map", NULL, NULL, EINVAL, "--map %s=%s is not NAME=KEY:VALUE", name, entry);
	if (key_size > sizeof(key) || stride * cpus > sizeof(value))
		fail("map", NULL, NULL, E2BIG, "%s has larger entries than can be given here", name);
	if (!parse_value(bpf_object__btf(object), bpf_map__btf_key_type_id(map), key_size, entry,
			 key))
		fail("map", NULL, NULL, EINVAL, "%s has keys of %zu bytes, and \"%s\" is none", name,
		     key_size, entry);
	parse_map_value(object, map, text);
	error = bpf_map__update_elem(map, key, key_size, value, stride * cpus, 0);
	if (error)
		fail("map", NULL, NULL, -error, "%s did not take the entry %s", name, entry);
}

void set_entries(struct bpf_object *object)
{
	for (size_t i = 0; i < options.map.count; i++) {
		char *entry = split(options.map.word[i], '=');

		if (!entry)
			fail("map", NULL, NULL, EINVAL, "--map %s is not NAME=KEY:VALUE",
			     options.map.word[i]);
		set_entry(object, options.map.word[i], entry);
	}
}

void check_dumps(struct bpf_object *object)
{
	for (size_t i = 0; i < options.dump.count; i++)
		if (strcmp(options.dump.word[i], "all"))
			map_named(object, options.dump.word[i]);
}

static void add_typed(const char *name, const struct btf *btf, __u32 type, const void *data,
		      size_t size)
{
	if (!add_value(name, btf, type, data, size) && is_text(data, size))
		add_bytes(name, data, strnlen((const char *)data, size));
}

/* False when there is no room for it in the line. */
static bool write_entry(const struct btf *btf, const struct bpf_map *map, size_t cpu, bool per_cpu,
			const unsigned char *of)
{
	size_t before = line_length(), key_size = bpf_map__key_size(map);
	size_t size = bpf_map__value_size(map);

	open_object();
	add_hex("key", key, key_size);
	add_hex("value", of, size);
	if (per_cpu)
		add_number("cpu", (long long)cpu);
	add_typed("key_text", btf, bpf_map__btf_key_type_id(map), key, key_size);
	add_typed("value_text", btf, bpf_map__btf_value_type_id(map), of, size);
	close_object();
	if (line_room() > 16)
		return true;
	cut_line(before);
	return false;
}

/* Entries may go and come meanwhile: after one that is gone, the kernel begins from the first. */
static bool write_entries(const struct btf *btf, const struct bpf_map *map)
{
	size_t stride, cpus = cpus_of(map, &stride), key_size = bpf_map__key_size(map);
	unsigned long long left = 2ULL * bpf_map__max_entries(map) + 16;
	const void *previous = NULL;

	if (key_size > sizeof(key) || stride * cpus > sizeof(value))
		return false;
	while (!bpf_map__get_next_key(map, previous, next_key, key_size)) {
		if (!left--)
			return false;
		memcpy(key, next_key, key_size);
		previous = key;
		if (bpf_map__lookup_elem(map, key, key_size, value, stride * cpus, 0))
			continue;
		for (size_t cpu = 0; cpu < cpus; cpu++)
			if (!write_entry(btf, map, cpu, cpus > 1 || stride != bpf_map__value_size(map),
					 value + cpu * stride))
				return false;
	}
	return true;
}

static void dump_map(const struct btf *btf, const struct bpf_map *map)
{
	const char *name = bpf_map__name(map), *dot = strchr(name, '.');
	bool whole = true;

	begin("map");
	/* .bss and the like; libbpf puts the object's name before it. */
	add_string("name", bpf_map__is_internal(map) && dot ? dot : name);
	open_list("entries");
	if (has_entries(map))
		whole = write_entries(btf, map);
	close_list();
	add_bool("truncated", !whole);
	end_line();
}

/* With "all" what the programs change, and not their constants. */
static bool changes(const struct bpf_map *map)
{
	return has_entries(map) &&
	       !(bpf_map__is_internal(map) && (strstr(bpf_map__name(map), ".rodata") ||
					       strstr(bpf_map__name(map), ".kconfig")));
}

void dump_maps(struct bpf_object *object)
{
	const struct btf *btf = bpf_object__btf(object);
	struct bpf_map *map;

	for (size_t i = 0; i < options.dump.count; i++)
		if (strcmp(options.dump.word[i], "all"))
			dump_map(btf, map_named(object, options.dump.word[i]));
	for (size_t i = 0; i < options.dump.count; i++)
		if (!strcmp(options.dump.word[i], "all")) {
			bpf_object__for_each_map(map, object)
				if (changes(map))
					dump_map(btf, map);
			return;
		}
}
