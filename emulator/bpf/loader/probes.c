// SPDX-License-Identifier: GPL-2.0
/* What hangs on a process, or on the clock of each CPU. */
#define _GNU_SOURCE
#include "loader.h"
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HERTZ 99 /* not in step with timers of 100 Hz */

/* Where libbpf looks for names without a slash: LD_LIBRARY_PATH for "*.so", else PATH. */
void find_android_libraries(void)
{
	setenv("LD_LIBRARY_PATH",
	       "/apex/com.android.runtime/lib64/bionic:/apex/com.android.art/lib64:"
	       "/apex/com.android.conscrypt/lib64:/system/lib64:/system_ext/lib64:"
	       "/product/lib64:/vendor/lib64:/lib64:/usr/lib64:/lib:/usr/lib",
	       0);
	setenv("PATH", "/system/bin:/system_ext/bin:/vendor/bin:/usr/bin:/bin:/usr/sbin:/sbin", 0);
}

/* uprobe/PATH:FUNCTION+OFFSET; null where there is none of it. */
static struct bpf_link *attach_function(struct bpf_program *program, const char *path, char *function,
					bool returning)
{
	LIBBPF_OPTS(bpf_uprobe_opts, how, .retprobe = returning);
	char *offset = split(function, '+'), *end = function;
	unsigned long at = offset ? strtoul(offset, &end, 0) : strtoul(function, &end, 0);

	if (*end && !offset) { /* no number, so a name */
		how.func_name = function;
		at = 0;
	} else if (offset) {
		how.func_name = function;
	}
	return bpf_program__attach_uprobe_opts(program, options.pid ? options.pid : -1, path, at,
					       &how);
}

int attach_uprobe(struct bpf_program *program, char *to)
{
	const char *section = bpf_program__section_name(program), *what = strchr(section, '/');
	char place[LONGEST_NAME], *function;
	struct bpf_link *link = NULL;

	if (!what) /* "uprobe" alone */
		return -EOPNOTSUPP;
	snprintf(to, LONGEST_NAME, "%s", what + 1);
	snprintf(place, sizeof(place), "%s", what + 1);
	function = split(place, ':');
	if (!function)
		return -EINVAL;
	if (!strncmp(section, "usdt", 4)) {
		char *name = split(function, ':');

		if (name)
			link = bpf_program__attach_usdt(program, options.pid ? options.pid : -1,
							place, function, name, NULL);
		else
			errno = EINVAL;
	} else {
		link = attach_function(program, place, function, section[1] == 'r');
	}
	if (!link)
		return -errno;
	keep_link(link, bpf_program__name(program));
	return 0;
}

/* A function by its name, which the kernel looks up; patterns are libbpf's, by the addresses of
 * /proc/kallsyms, which are all 0 where kptr_restrict is 2, as on Android. */
int attach_multi(struct bpf_program *program, char *to)
{
	const char *section = bpf_program__section_name(program), *what = strchr(section, '/');
	LIBBPF_OPTS(bpf_kprobe_multi_opts, how, .retprobe = section[1] == 'r');
	bool pattern = what && strpbrk(what, "*?");
	struct bpf_link *link;

	if (!what)
		return -EOPNOTSUPP;
	snprintf(to, LONGEST_NAME, "%s", ++what);
	if (!pattern) {
		how.syms = &what;
		how.cnt = 1;
	}
	link = bpf_program__attach_kprobe_multi_opts(program, pattern ? what : NULL, &how);
	if (!link)
		return -errno;
	keep_link(link, bpf_program__name(program));
	return 0;
}

int attach_perf_event(struct bpf_program *program, char *to)
{
	struct perf_event_attr clock = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(clock),
					 .config = PERF_COUNT_SW_CPU_CLOCK, .freq = 1,
					 .sample_freq = HERTZ };
	int cpus = libbpf_num_possible_cpus(), attached = 0;

	snprintf(to, LONGEST_NAME, "cpu-clock at %d Hz", HERTZ);
	for (int cpu = 0; cpu < cpus; cpu++) {
		struct bpf_link *link;
		int fd = (int)syscall(SYS_perf_event_open, &clock, options.pid ? options.pid : -1, cpu,
				      -1, PERF_FLAG_FD_CLOEXEC);

		if (fd < 0 && errno == ENODEV) /* not online */
			continue;
		link = fd < 0 ? NULL : bpf_program__attach_perf_event(program, fd);
		if (!link) {
			int error = -errno;

			if (fd >= 0)
				close(fd);
			return error;
		}
		keep_link(link, NULL);
		attached++;
	}
	return attached ? 0 : -ENODEV;
}
