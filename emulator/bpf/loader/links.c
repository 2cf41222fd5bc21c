// SPDX-License-Identifier: GPL-2.0
/* What is attached, and how it is taken back, the last first. */
#include "loader.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct attachment {
	struct attachment *before;
	struct bpf_link *link;
	int fd;
	int (*undo)(int a, int b, int c);
	int a, b, c, fds;
};

static struct attachment *last;

static void keep(struct attachment kept)
{
	struct attachment *one = malloc(sizeof(*one));

	if (!one)
		fail("attach", NULL, NULL, ENOMEM, "no memory for an attachment");
	*one = kept;
	one->before = last;
	last = one;
}

/* What is pinned stays attached when we are gone. */
static void pin(struct bpf_link *link, const char *program)
{
	char path[LONGEST_NAME * 2];
	int error;

	snprintf(path, sizeof(path), "%s/link_%s", options.pin, program);
	error = bpf_link__pin(link, path);
	if (error)
		say("the link of %s cannot be pinned as %s: %s; it ends with the loader", program,
		    path, errno_name(-error));
	else
		bpf_link__disconnect(link);
}

void keep_link(struct bpf_link *link, const char *program)
{
	if (options.pin && program)
		pin(link, program);
	keep((struct attachment){ .link = link, .fd = -1 });
}

void keep_fd(int fd)
{
	keep((struct attachment){ .fd = fd });
}

void keep_undo(int (*undo)(int a, int b, int c), int a, int b, int c, int fds)
{
	keep((struct attachment){ .fd = -1, .undo = undo, .a = a, .b = b, .c = c, .fds = fds });
}

bool undo_needs(int fd)
{
	for (struct attachment *one = last; one; one = one->before)
		if ((one->fds > 0 && one->a == fd) || (one->fds > 1 && one->b == fd))
			return true;
	return false;
}

void undo_all(void)
{
	for (struct attachment *one = last; one; one = one->before)
		if (one->undo)
			one->undo(one->a, one->b, one->c);
}

void detach(void)
{
	while (last) {
		struct attachment *one = last;

		last = one->before;
		if (one->link)
			bpf_link__destroy(one->link);
		if (one->fd >= 0)
			close(one->fd);
		if (one->undo && one->undo(one->a, one->b, one->c))
			say("something could not be detached: %s", errno_name(errno));
		free(one);
	}
}
