// SPDX-License-Identifier: GPL-2.0
/* What bpf_printk() writes: the lines of trace_pipe that come after our mark. */
#define _GNU_SOURCE
#include "loader.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define RING_SIZE 1408 /* TRACE_BUF_SIZE_DEFAULT in kernel/trace/trace.c, KiB */
#define READS 64 /* at once, a page each; then others have their turn */

static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
static int pipe_fd = -1;
static bool turned_on, begun;
static long found_size = -1; /* KiB for each CPU, where we have changed it */
static char place[LONGEST_NAME], mark[64];
static char text[16384]; /* what is not a whole line yet */
static size_t have;

static int open_in_place(const char *file, int flags)
{
	char path[LONGEST_NAME * 2];

	snprintf(path, sizeof(path), "%s/%s", place, file);
	return open(path, flags | O_CLOEXEC);
}

static bool find_place(void)
{
	for (size_t i = 0; i < COUNT(places); i++) {
		snprintf(place, sizeof(place), "%s", places[i]);
		int fd = open_in_place("trace_marker", O_WRONLY);

		if (fd >= 0 || errno != ENOENT) {
			close(fd);
			return true;
		}
	}
	return false;
}

/* In a mount namespace of our own, which goes with us; libbpf finds it there too. */
static bool mount_place(void)
{
	snprintf(place, sizeof(place), "%s", places[0]);
	return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("droidheaders", place, "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static void switch_tracing(const char *to)
{
	int fd = open_in_place("tracing_on", O_WRONLY);

	if (fd < 0 || write(fd, to, 1) != 1)
		say("cannot write %s to tracing_on: %s", to, errno_name(errno));
	close(fd);
}

static void turn_on(void)
{
	int fd = open_in_place("tracing_on", O_RDONLY);
	char now = '1';

	if (fd >= 0 && read(fd, &now, 1) == 1 && now == '0') {
		turned_on = true;
		switch_tracing("1");
	}
	close(fd);
}

static void resize(long size)
{
	char digits[24];
	int fd = open_in_place("buffer_size_kb", O_WRONLY);
	int length = snprintf(digits, sizeof(digits), "%ld", size);

	if (fd < 0 || write(fd, digits, (size_t)length) != length)
		say("cannot write %s to buffer_size_kb: %s", digits, errno_name(errno));
	close(fd);
}

/* Until somebody traces, the ring has a page or two for each CPU, some dozens of lines, and
 * bpf_trace_printk() does not change that: "7 (expanded: 1408)". */
static void enlarge(void)
{
	char said[64] = "";
	int fd = open_in_place("buffer_size_kb", O_RDONLY);

	if (fd >= 0 && read(fd, said, sizeof(said) - 1) > 0 && strtol(said, NULL, 10) < RING_SIZE &&
	    strtol(said, NULL, 10) > 0) {
		found_size = strtol(said, NULL, 10);
		resize(RING_SIZE);
	}
	close(fd);
}

/* What was there before us is read and passed over, up to this line. */
static void write_mark(void)
{
	int fd = open_in_place("trace_marker", O_WRONLY), size;
	unsigned int unique = 0;
	int random = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	if (random < 0 || read(random, &unique, sizeof(unique)) < 0)
		unique = 0;
	close(random);
	size = snprintf(mark, sizeof(mark), "droidheaders begins %d %08x", getpid(), unique);
	if (fd < 0 || write(fd, mark, (size_t)size) != size)
		say("trace_marker takes no mark (%s): lines of before may come too",
		    errno_name(errno));
	close(fd);
}

void open_trace(void)
{
	if (!find_place() && !mount_place()) {
		say("no tracefs, and none can be mounted (%s): nothing of bpf_printk is seen",
		    errno_name(errno));
		return;
	}
	/* EBUSY: since 6.6 there is one reader at a time (c2489bb7e6be, also in stable ones). */
	pipe_fd = open_in_place("trace_pipe", O_RDONLY | O_NONBLOCK);
	if (pipe_fd < 0) {
		say("%s/trace_pipe cannot be read: %s%s", place, errno_name(errno),
		    errno == EBUSY ? ", another program reads it" : "");
		return;
	}
	turn_on();
	enlarge();
	write_mark();
}

int poll_trace(void)
{
	return pipe_fd;
}

static void write_lost(unsigned long long count)
{
	begin("lost");
	add_null("map");
	add_number("count", (long long)count);
	end_line_or_drop();
}

static void write_line(const char *line, size_t size)
{
	unsigned long long count;

	if (!begun) {
		begun = memmem(line, size, mark, strlen(mark));
		return;
	}
	/* print_trace_line() in kernel/trace/trace.c: the ring was overwritten. */
	if (sscanf(line, "CPU:%*d [LOST %llu EVENTS]", &count) == 1) {
		write_lost(count);
		return;
	}
	begin("trace");
	add_bytes("text", line, size);
	end_line_or_drop();
}

static void take_lines(void)
{
	size_t start = 0;
	char *end;

	while ((end = memchr(text + start, '\n', have - start))) {
		*end = '\0';
		write_line(text + start, (size_t)(end - text) - start);
		start = (size_t)(end - text) + 1;
	}
	if (!start && have == sizeof(text) - 1) { /* no line is so long */
		text[have] = '\0';
		write_line(text, have);
		start = have;
	}
	memmove(text, text + start, have -= start);
}

bool read_trace(void)
{
	for (int i = 0; pipe_fd >= 0 && i < READS; i++) {
		ssize_t got = read(pipe_fd, text + have, sizeof(text) - 1 - have);

		if (got <= 0) {
			/* All of before is read, even if another reader took our mark. */
			begun = begun || (got < 0 && errno == EAGAIN);
			return false;
		}
		have += (size_t)got;
		take_lines();
	}
	return pipe_fd >= 0;
}

void close_trace(void)
{
	if (turned_on)
		switch_tracing("0");
	turned_on = false;
	if (pipe_fd >= 0 && found_size >= 0)
		resize(found_size);
	if (pipe_fd >= 0)
		close(pipe_fd);
	pipe_fd = -1;
}
