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

static char tidied[96 << 10];
static size_t tidied_length;

static void keep(const char *from, size_t size)
{
	if (size > sizeof(tidied) - tidied_length)
		return;
	memcpy(tidied + tidied_length, from, size);
	tidied_length += size;
}

static bool is_character(const char *at, const char *end)
{
	return at + 3 < end && at[0] == '\'' && at[2] == '\'' && at[3] == ',';
}

/* Past a list of nothing but characters, else null. */
static char *end_of_characters(char *at, const char *end)
{
	while (is_character(at, end))
		at += 4;
	return at < end && *at == ']' && at[-1] == ',' ? at + 1 : NULL;
}

static char *end_of_cast(char *at, const char *end)
{
	int depth = 0;

	do
		depth += (*at == '(') - (*at == ')');
	while (++at < end && depth);
	return at;
}

/* btf_dump writes "(struct event){.comm = (char[16])['s','h',],}" for ".comm = \"sh\"" in braces. */
static void tidy(void)
{
	char *from = text, *end = text + length, *past;

	tidied_length = 0;
	while (from < end) {
		if (*from == '[' && (past = end_of_characters(from + 1, end))) {
			keep("\"", 1);
			for (from++; is_character(from, end); from += 4)
				keep(from + 1, 1);
			keep("\"", 1);
			from = past;
		} else if (is_character(from, end)) {
			keep(from, 3);
			from += 3;
		} else if (*from == '(' && (from == text || strchr(" ={[,", from[-1]))) {
			from = end_of_cast(from, end);
		} else if (*from == ',' && from + 1 < end && (from[1] == '}' || from[1] == ']')) {
			from++;
		} else {
			keep(from, 1);
			if (*from++ == ',')
				keep(" ", 1);
		}
	}
}

static const struct btf *dumped;
static struct btf_dump *dump;

bool add_value(const char *name, const struct btf *btf, __u32 type, const void *data, size_t size)
{
	LIBBPF_OPTS(btf_dump_type_data_opts, how, 
		    .compact = true, .emit_zeroes = true);

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
	tidy();
	add_bytes(name, tidied, tidied_length);
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
