// SPDX-License-Identifier: GPL-2.0
/* What libbpf and the verifier say. */
#define _GNU_SOURCE
#include "loader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* bpf_check() in kernel/bpf/verifier.c takes no larger buffer before 5.18; pages that the log
 * does not reach are never touched. With a smaller one the kernel would say ENOSPC. */
#define ROOM (0xffffffU)
#define SHOWN (64 << 10)
#define SAID (16 << 10)

static char *verifier_log;
static char failing[LONGEST_NAME];
static bool no_btf;

static void write_lines(const char *source, const char *program, const char *text)
{
	while (*text) {
		size_t size = strcspn(text, "\n");

		if (size) {
			begin("log");
			add_string("source", source);
			add_string("program", program);
			add_bytes("text", text, size);
			end_line();
		}
		text += size + (text[size] == '\n');
	}
}

/* libbpf says of no program that it failed but here. */
static int listen(enum libbpf_print_level level, const char *format, va_list arguments)
{
	static char text[SAID];

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(text, sizeof(text), format, arguments);
	if (strstr(text, "BPF program load failed"))
		sscanf(text, "%*[^']'%255[^']'", failing); /* libbpf: prog 'NAME': ... */
	if (strstr(text, "valid kernel BTF"))
		no_btf = true;
	write_lines("libbpf", NULL, text);
	return 0;
}

void listen_to_libbpf(void)
{
	libbpf_set_print(listen);
}

void give_verifier_room(struct bpf_object *object)
{
	struct bpf_program *program;

	verifier_log = calloc(1, ROOM);
	if (!verifier_log)
		return;
	/* One for all: the first program that fails is the last one that is loaded. */
	bpf_object__for_each_program(program, object)
		bpf_program__set_log_buf(program, verifier_log, ROOM);
}

const char *failing_program(void)
{
	return *failing ? failing : NULL;
}

bool lacks_btf(void)
{
	return no_btf;
}

void write_verifier_log(const char *program)
{
	const char *from = verifier_log;
	size_t size = from ? strnlen(from, ROOM) : 0;

	if (!size)
		return;
	if (size > SHOWN) { /* its end tells why; from a whole line on */
		from += size - SHOWN;
		from += strcspn(from, "\n");
	}
	write_lines("verifier", program, from);
}
