// SPDX-License-Identifier: GPL-2.0
/* Text to a value: typed by BTF, else by its size. */
#include "loader.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void store(void *into, size_t size, unsigned long long number)
{
	memcpy(into, &number, size); /* arm64 and x86_64 are both little-endian */
}

static bool parse_integer(const char *text, size_t size, bool is_signed, void *into)
{
	unsigned int bits = (unsigned int)size * 8;
	unsigned long long number;
	bool negative = *text == '-';
	char *end;

	if (!isdigit((unsigned char)text[negative]) || size > 8)
		return false;
	errno = 0;
	number = strtoull(text + negative, &end, 0);
	if (*end || errno)
		return false;
	if (negative) {
		if (!is_signed || number > 1ULL << (bits - 1))
			return false;
		number = -number;
	} else if (bits < 64 && number >> bits) {
		return false;
	} else if (is_signed && number >> (bits - 1) && strncmp(text, "0x", 2)) {
		return false; /* 0xffffffff may be -1 */
	}
	store(into, size, number);
	return true;
}

static bool parse_bool(const char *text, size_t size, void *into)
{
	static const char *const words[] = { "false", "true", "0", "1", "no", "yes", "off", "on" };

	for (size_t i = 0; i < COUNT(words); i++)
		if (!strcmp(text, words[i])) {
			store(into, size, i & 1);
			return true;
		}
	return false;
}

static bool parse_enum(const struct btf *btf, const struct btf_type *type, const char *text,
		       void *into)
{
	bool wide = btf_is_enum64(type);

	for (int i = 0; i < btf_vlen(type); i++) {
		__u32 name = wide ? btf_enum64(type)[i].name_off : btf_enum(type)[i].name_off;

		if (strcmp(btf__str_by_offset(btf, name), text))
			continue;
		store(into, type->size,
		      wide ? btf_enum64_value(&btf_enum64(type)[i]) :
			     (unsigned long long)btf_enum(type)[i].val);
		return true;
	}
	return parse_integer(text, type->size, true, into) ||
	       parse_integer(text, type->size, false, into);
}

static int digit(char of)
{
	return isdigit((unsigned char)of) ? of - '0' : isxdigit((unsigned char)of) ? (of | 32) - 'a' + 10 : -1;
}

/* Two digits a byte, as they are in memory, each byte of it. */
static bool parse_bytes(const char *text, size_t size, unsigned char *into)
{
	if (!strncmp(text, "0x", 2))
		text += 2;
	if (strlen(text) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		into[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

static const struct btf_type *bare(const struct btf *btf, __u32 id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	while (type && (btf_is_mod(type) || btf_is_typedef(type) || btf_is_type_tag(type)))
		type = btf__type_by_id(btf, type->type);
	return type;
}

static bool parse_array(const struct btf *btf, const struct btf_type *type, size_t size, char *text,
			void *into)
{
	const struct btf_type *element = bare(btf, btf_array(type)->type);

	if (element && btf_is_int(element) && element->size == 1 && strlen(text) <= size) {
		memset(into, 0, size);
		memcpy(into, text, strlen(text));
		return true;
	}
	return parse_bytes(text, size, into);
}

bool parse_value(const struct btf *btf, __u32 id, size_t size, char *text, void *into)
{
	const struct btf_type *type = btf && id ? bare(btf, id) : NULL;

	if (type && btf_is_int(type) && type->size == size) {
		if (btf_int_encoding(type) & BTF_INT_BOOL)
			return parse_bool(text, size, into);
		return parse_integer(text, size, btf_int_encoding(type) & BTF_INT_SIGNED, into);
	}
	if (type && btf_is_any_enum(type) && type->size == size)
		return parse_enum(btf, type, text, into);
	if (type && btf_is_array(type))
		return parse_array(btf, type, size, text, into);
	if ((!type || btf_is_ptr(type)) && (size == 1 || size == 2 || size == 4 || size == 8) &&
	    (parse_integer(text, size, true, into) || parse_integer(text, size, false, into)))
		return true;
	return parse_bytes(text, size, into);
}
