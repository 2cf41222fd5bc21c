// SPDX-License-Identifier: GPL-2.0
/* A second process, which takes back what would outlast this one when it is killed. */
#define _GNU_SOURCE
#include "loader.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int alive = -1;
static pid_t guard;

/* What hangs on file descriptors must not hang on the guard's too; nor must the reader wait for
 * them. */
static void close_others(int end)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	DIR *ours = opendir("/proc/self/fd");
	struct dirent *entry;

	while (ours && (entry = readdir(ours))) {
		int fd = atoi(entry->d_name);

		if (fd <= 2)
			dup2(null, fd);
		else if (fd != end && fd != null && fd != dirfd(ours) && !undo_needs(fd))
			close(fd);
	}
	closedir(ours);
}

__attribute__((noreturn)) static void watch(int end)
{
	char byte;
	ssize_t got;

	setsid(); /* who kills the other's group does not mean us */
	close_others(end);
	while ((got = read(end, &byte, 1)) < 0 && errno == EINTR)
		continue;
	if (!got) {
		undo_all();
		close_trace();
	}
	_exit(0);
}

void start_guard(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) || (guard = fork()) < 0) {
		say("nothing will clean up after a SIGKILL: %s", errno_name(errno));
		guard = 0;
		return;
	}
	if (!guard) {
		close(ends[1]);
		watch(ends[0]);
	}
	close(ends[0]);
	alive = ends[1];
}

void end_guard(void)
{
	if (!guard)
		return;
	if (write(alive, "", 1) == 1)
		waitpid(guard, NULL, 0);
	close(alive);
	guard = 0;
}
