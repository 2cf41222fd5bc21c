// SPDX-License-Identifier: GPL-2.0
/* Global variables, set before the object is loaded: --set NAME[.MEMBER]=VALUE. */
#include "loader.h"
#include <errno.h>
#include <stdint.h>
#include <string.h>

struct place {
	unsigned char *at; /* null: not found */
	__u32 type;
	size_t size;
};

static struct place in_section(struct bpf_object *object, const struct btf *btf,
			       const struct btf_type *section, const char *name)
{
	const struct btf_var_secinfo *one = btf_var_secinfos(section);
	struct bpf_map *map =
		bpf_object__find_map_by_name(object, btf__name_by_offset(btf, section->name_off));

	for (int i = 0; i < btf_vlen(section); i++, one++) {
		const struct btf_type *variable = btf__type_by_id(btf, one->type);
		unsigned char *start;
		size_t size;

		if (strcmp(btf__name_by_offset(btf, variable->name_off), name))
			continue;
		/* .maps, license and the like are no maps. libbpf has it as const, for others. */
		start = map ? (unsigned char *)(uintptr_t)bpf_map__initial_value(map, &size) : NULL;
		if (start && (size_t)one->offset + one->size <= size)
			return (struct place){ start + one->offset, variable->type, one->size };
	}
	return (struct place){ 0 };
}

static struct place variable_named(struct bpf_object *object, const struct btf *btf, const char *name)
{
	__u32 types = btf ? btf__type_cnt(btf) : 0;

	for (__u32 id = 1; id < types; id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		struct place found;

		if (!btf_is_datasec(type))
			continue;
		found = in_section(object, btf, type, name);
		if (found.at)
			return found;
	}
	return (struct place){ 0 };
}

/* No bit-fields: they are no whole bytes. */
static struct place member_named(const struct btf *btf, struct place whole, const char *name)
{
	const struct btf_type *type = btf__type_by_id(btf, whole.type);
	const struct btf_member *member;

	while (btf_is_mod(type) || btf_is_typedef(type))
		type = btf__type_by_id(btf, type->type);
	if (!btf_is_composite(type))
		return (struct place){ 0 };
	member = btf_members(type);
	for (int i = 0; i < btf_vlen(type); i++, member++) {
		long long size = btf__resolve_size(btf, member->type);
		__u32 offset = btf_member_bit_offset(type, (__u32)i) / 8;

		if (!strcmp(btf__name_by_offset(btf, member->name_off), name) && size > 0 &&
		    !btf_member_bitfield_size(type, (__u32)i) && offset + (size_t)size <= whole.size)
			return (struct place){ whole.at + offset, member->type, (size_t)size };
	}
	return (struct place){ 0 };
}

static void set_variable(struct bpf_object *object, char *name, char *value)
{
	const struct btf *btf = bpf_object__btf(object);
	char *member = split(name, '.');
	struct place where = variable_named(object, btf, name);

	if (!where.at)
		fail("set", NULL, NULL, ENOENT, "the object has no variable named %s", name);
	while (member) {
		char *next = split(member, '.');

		where = member_named(btf, where, member);
		if (!where.at)
			fail("set", NULL, NULL, ENOENT, "%s has no member named %s that can be set",
			     name, member);
		member = next;
	}
	if (!parse_value(btf, where.type, where.size, value, where.at))
		fail("set", NULL, NULL, EINVAL, "%s is of %zu bytes and does not take \"%s\"", name,
		     where.size, value);
}

void set_variables(struct bpf_object *object)
{
	for (size_t i = 0; i < options.set.count; i++) {
		char *value = split(options.set.word[i], '=');

		if (!value)
			fail("set", NULL, NULL, EINVAL, "--set %s is not NAME=VALUE",
			     options.set.word[i]);
		set_variable(object, options.set.word[i], value);
	}
}
