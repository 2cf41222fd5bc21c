// SPDX-License-Identifier: GPL-2.0
/* Attaches each program where its section says. */
#define _GNU_SOURCE
#include "loader.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* In what section they may be, besides those that libbpf 1.1 knows (its later versions do). */
static const struct {
	const char *section;
	enum bpf_prog_type type;
} later[] = {
	{ "tc/ingress", BPF_PROG_TYPE_SCHED_CLS },  { "tc/egress", BPF_PROG_TYPE_SCHED_CLS },
	{ "tcx/ingress", BPF_PROG_TYPE_SCHED_CLS }, { "tcx/egress", BPF_PROG_TYPE_SCHED_CLS },
};

/* The last directory may be missing; the file system is that of the one above it then. */
static void check_pins(void)
{
	char above[LONGEST_NAME], *slash;
	struct statfs system = { 0 };

	snprintf(above, sizeof(above), "%s", options.pin);
	slash = strrchr(above, '/');
	if (statfs(above, &system) && errno == ENOENT && slash && slash != above) {
		*slash = '\0';
		if (statfs(above, &system))
			fail("attach", NULL, NULL, errno, "nothing can be pinned in %s", options.pin);
	}
	if (system.f_type != BPF_FS_MAGIC)
		fail("attach", NULL, NULL, EINVAL, "nothing can be pinned in %s, which is not on bpffs",
		     options.pin);
}

/* Before it is loaded: types that libbpf does not guess, and no pins that nobody asked for. */
void prepare(struct bpf_object *object)
{
	struct bpf_program *program;
	struct bpf_map *map;

	bpf_object__for_each_program(program, object)
		for (size_t i = 0; i < COUNT(later); i++)
			if (!strcmp(bpf_program__section_name(program), later[i].section))
				bpf_program__set_type(program, later[i].type);
	if (options.pin)
		check_pins();
	else
		bpf_object__for_each_map(map, object)
			bpf_map__set_pin_path(map, NULL);
}

/* Why nothing attaches a program of this type, or null. */
static const char *why_not(const struct bpf_program *program)
{
	switch ((int)bpf_program__type(program)) {
	case BPF_PROG_TYPE_SCHED_CLS:
	case BPF_PROG_TYPE_XDP:
		return options.interface ? NULL : "needs --interface";
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_CGROUP_SOCK:
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
	case BPF_PROG_TYPE_CGROUP_SOCKOPT:
	case BPF_PROG_TYPE_CGROUP_SYSCTL:
	case BPF_PROG_TYPE_CGROUP_DEVICE:
	case BPF_PROG_TYPE_SOCK_OPS:
		return options.cgroup ? NULL : "needs --cgroup";
	case BPF_PROG_TYPE_LSM:
		if (bpf_program__expected_attach_type(program) == BPF_LSM_CGROUP)
			return options.cgroup ? NULL : "needs --cgroup";
		return NULL;
	case BPF_PROG_TYPE_SCHED_ACT:
		return "a tc action needs a filter that calls it";
	case BPF_PROG_TYPE_SK_SKB:
	case BPF_PROG_TYPE_SK_MSG:
		return "needs a socket map with sockets in it";
	case BPF_PROG_TYPE_SK_REUSEPORT:
		return "needs a socket that a server gives it to";
	case BPF_PROG_TYPE_EXT:
		return "needs a program to replace a function of";
	case BPF_PROG_TYPE_SYSCALL:
		return "is run by who has it, and hangs on nothing";
	case BPF_PROG_TYPE_LIRC_MODE2:
		return "needs an infrared device";
	case BPF_PROG_TYPE_LWT_IN:
	case BPF_PROG_TYPE_LWT_OUT:
	case BPF_PROG_TYPE_LWT_XMIT:
	case BPF_PROG_TYPE_LWT_SEG6LOCAL:
		return "needs a route that calls it";
	default:
		return NULL;
	}
}

static int detach_cgroup(int cgroup, int program, int type)
{
	int error = bpf_prog_detach2(program, cgroup, (enum bpf_attach_type)type);

	close(cgroup);
	return error;
}

/* By a link, else (before 5.7) beside what others have there. */
static int attach_cgroup(struct bpf_program *program, char *to)
{
	enum bpf_attach_type type = bpf_program__expected_attach_type(program);
	int fd = bpf_program__fd(program), cgroup = open(options.cgroup, O_RDONLY | O_CLOEXEC);
	struct bpf_link *link;

	snprintf(to, LONGEST_NAME, "%s", options.cgroup);
	if (cgroup < 0)
		return -errno;
	link = bpf_program__attach_cgroup(program, cgroup);
	if (link) {
		keep_link(link, bpf_program__name(program));
		close(cgroup);
		return 0;
	}
	if (errno != EINVAL || bpf_prog_attach(fd, cgroup, type, BPF_F_ALLOW_MULTI)) {
		int error = -errno;

		close(cgroup);
		return error;
	}
	keep_undo(detach_cgroup, cgroup, fd, (int)type, 2);
	return 0;
}

static int attach_netns(struct bpf_program *program, char *to)
{
	int ours = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct bpf_link *link = ours < 0 ? NULL : bpf_program__attach_netns(program, ours);
	int error = link ? 0 : -errno;

	snprintf(to, LONGEST_NAME, "/proc/self/ns/net");
	close(ours);
	if (link)
		keep_link(link, bpf_program__name(program));
	return error;
}

/* As libbpf does it, by the section alone. */
static int attach_by_section(struct bpf_program *program, char *to)
{
	const char *section = bpf_program__section_name(program), *what = strchr(section, '/');
	struct bpf_link *link = bpf_program__attach(program);

	snprintf(to, LONGEST_NAME, "%s", what ? what + 1 : section);
	if (!link)
		return -errno;
	keep_link(link, bpf_program__name(program));
	return 0;
}

static int attach_one(struct bpf_program *program, char *to)
{
	const char *section = bpf_program__section_name(program);

	switch ((int)bpf_program__type(program)) {
	case BPF_PROG_TYPE_SCHED_CLS:
		return attach_tc(program, to);
	case BPF_PROG_TYPE_XDP:
		return attach_xdp(program, to);
	case BPF_PROG_TYPE_SOCKET_FILTER:
		return attach_socket(program, to);
	case BPF_PROG_TYPE_PERF_EVENT:
		return attach_perf_event(program, to);
	case BPF_PROG_TYPE_FLOW_DISSECTOR:
	case BPF_PROG_TYPE_SK_LOOKUP:
		return attach_netns(program, to);
	case BPF_PROG_TYPE_KPROBE:
		if (strstr(section, "probe.multi"))
			return attach_multi(program, to);
		if (strncmp(section, "uprobe", 6) && strncmp(section, "uretprobe", 9) &&
		    strncmp(section, "usdt", 4))
			return attach_by_section(program, to);
		return attach_uprobe(program, to);
	case BPF_PROG_TYPE_TRACING:
		if (bpf_program__expected_attach_type(program) == BPF_TRACE_ITER)
			return attach_iterator(program, to);
		return attach_by_section(program, to);
	default:
		/* --cgroup is there, or why_not() had said so. */
		return !strncmp(section, "cgroup", 6) || !strncmp(section, "lsm_cgroup", 10) ||
				       bpf_program__type(program) == BPF_PROG_TYPE_SOCK_OPS ?
			       attach_cgroup(program, to) :
			       attach_by_section(program, to);
	}
}

static void write_attached(const char *name, const char *section, const char *to)
{
	begin("attached");
	add_string("program", name);
	add_string("section", section);
	add_string("to", to);
	end_line();
}

static void write_unattached(const char *name, const char *section, const char *reason)
{
	begin("unattached");
	add_string("program", name);
	add_string("section", section);
	add_string("reason", reason);
	end_line();
}

static void attach_program(struct bpf_program *program)
{
	const char *name = bpf_program__name(program);
	const char *section = bpf_program__section_name(program);
	const char *reason = why_not(program);
	char to[LONGEST_NAME] = "";
	int error;

	/* Its map is what is attached. */
	if (bpf_program__type(program) == BPF_PROG_TYPE_STRUCT_OPS)
		return;
	error = reason ? 0 : attach_one(program, to);
	/* What libbpf says to a section that names no target. */
	if (error == -EOPNOTSUPP && !strchr(section, '/'))
		reason = "its section names nothing to attach it to";
	if (reason)
		write_unattached(name, section, reason);
	else if (error)
		fail("attach", name, section, -error, "%s was not attached to %s", name, to);
	else
		write_attached(name, section, to);
}

/* bpf_struct_ops_map_delete_elem() in kernel/bpf/bpf_struct_ops.c; it outlasts its map otherwise. */
static int unregister(int map, int unused, int unused_too)
{
	__u32 first = 0;

	(void)unused, (void)unused_too;
	return bpf_map_delete_elem(map, &first);
}

static void attach_struct_ops(struct bpf_map *map)
{
	const char *name = bpf_map__name(map);
	struct bpf_link *link = bpf_map__attach_struct_ops(map);

	if (!link)
		fail("attach", name, ".struct_ops", errno, "%s was not registered", name);
	bpf_link__disconnect(link);
	bpf_link__destroy(link);
	keep_undo(unregister, bpf_map__fd(map), 0, 0, 1);
	write_attached(name, ".struct_ops", name);
}

void attach(struct bpf_object *object)
{
	struct bpf_program *program;
	struct bpf_map *map;

	find_android_libraries();
	if (options.pin) {
		int error = bpf_object__pin(object, options.pin);

		if (error)
			fail("attach", NULL, NULL, -error, "nothing can be pinned in %s",
			     options.pin);
	}
	bpf_object__for_each_program(program, object)
		if (bpf_program__autoload(program))
			attach_program(program);
	bpf_object__for_each_map(map, object)
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			attach_struct_ops(map);
}
