// SPDX-License-Identifier: GPL-2.0
/* Iterators: what they print is read once, when all is attached. */
#define _GNU_SOURCE
#include "loader.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
	int link;
	const char *program;
} iterators[64];
static size_t count;

int attach_iterator(struct bpf_program *program, char *to)
{
	struct bpf_link *link = bpf_program__attach(program);

	snprintf(to, LONGEST_NAME, "%s", strchr(bpf_program__section_name(program), '/') + 1);
	if (!link)
		return -errno;
	if (count == COUNT(iterators))
		return -E2BIG;
	iterators[count].link = bpf_link__fd(link);
	iterators[count++].program = bpf_program__name(program);
	keep_link(link, bpf_program__name(program));
	return 0;
}

static void write_line(const char *program, const char *text, size_t size)
{
	begin("iter");
	add_string("program", program);
	add_bytes("text", text, size);
	end_line();
}

/* seq_file gives whole lines where it can, up to a page at a time. */
static void read_iterator(int fd, const char *program)
{
	char text[8192];
	size_t have = 0;
	ssize_t got;

	while ((got = read(fd, text + have, sizeof(text) - have)) > 0 || errno == EAGAIN) {
		size_t start = 0;
		char *end;

		if (got < 0)
			continue;
		have += (size_t)got;
		while ((end = memchr(text + start, '\n', have - start))) {
			write_line(program, text + start, (size_t)(end - text) - start);
			start = (size_t)(end - text) + 1;
		}
		memmove(text, text + start, have -= start);
		if (have == sizeof(text)) {
			write_line(program, text, have);
			have = 0;
		}
	}
	if (have)
		write_line(program, text, have);
	if (got < 0)
		say("reading the iterator %s failed: %s", program, errno_name(errno));
}

void read_iterators(void)
{
	for (size_t i = 0; i < count; i++) {
		int fd = bpf_iter_create(iterators[i].link);

		if (fd < 0) {
			say("the iterator %s cannot be read: %s", iterators[i].program,
			    errno_name(errno));
			continue;
		}
		errno = 0;
		read_iterator(fd, iterators[i].program);
		close(fd);
	}
}
