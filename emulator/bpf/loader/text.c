// SPDX-License-Identifier: GPL-2.0
/* Values as text, by their BTF. */
#define _GNU_SOURCE
#include "loader.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char text[64 << 10];
static size_t length;

static void append(void *context, const char *format, va_list arguments)
{
	int size = vsnprintf(text + length, sizeof(text) - length, format, arguments);

	(void)context;
	if (size > 0)
		length += (size_t)size < sizeof(text) - length ? (size_t)size :
								 sizeof(text) - length - 1;
}

/* btf_dump writes "['s','h',]" for what everybody writes "sh". */
static void join_characters(void)
{
	char *from = text, *to = text, *end = text + length;

	while (from < end) {
		char *at = from + 1;

		if (*from != '[' || at + 3 >= end || at[0] != '\'' || at[2] != '\'') {
			*to++ = *from++;
			continue;
		}
		*to++ = '"';
		for (; at + 3 < end && at[0] == '\'' && at[2] == '\'' && at[3] == ','; at += 4)
			*to++ = at[1];
		*to++ = '"';
		from = at + (*at == ']');
	}
	length = (size_t)(to - text);
}

static const struct btf *dumped;
static struct btf_dump *dump;

bool add_value(const char *name, const struct btf *btf, __u32 type, const void *data, size_t size)
{
	LIBBPF_OPTS(btf_dump_type_data_opts, how, .compact = true, .skip_names = true,
		    .emit_zeroes = true);

	if (!btf || !type)
		return false;
	if (dumped != btf) {
		btf_dump__free(dump);
		dump = btf_dump__new(btf, append, NULL, NULL);
		dumped = btf;
	}
	length = 0;
	if (!dump || btf_dump__dump_type_data(dump, type, data, size, &how) < 0)
		return false;
	join_characters();
	add_bytes(name, text, length);
	return true;
}

/* Printable, up to the NULs that fill it, and not empty. */
bool is_text(const void *data, size_t size)
{
	const unsigned char *at = data;
	size_t end = strnlen(data, size);

	for (size_t i = 0; i < end; i++)
		if ((at[i] < 0x20 && at[i] != '\t' && at[i] != '\n') || at[i] == 0x7f)
			return false;
	for (size_t i = end; i < size; i++)
		if (at[i])
			return false;
	return end >= 1 && end < size + 1 && (end > 3 || end == size - 1);
}
