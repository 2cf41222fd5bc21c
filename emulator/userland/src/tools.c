// SPDX-License-Identifier: Apache-2.0
/*
 * The commands that Android has and Debian's toybox lacks, or has without SELinux:
 * getprop, setprop, getenforce, setenforce, id, modprobe, remount. Called by the name of the link.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROPERTIES "/dev/__properties__/properties"
#define MAX_PROPERTIES 256
#define MAX_VALUE 92 /* PROP_VALUE_MAX of bionic; ro.* may be longer there */
#define MAX_DIRECTORIES 8

static _Noreturn void die(const char *format, const char *what)
{
	int error = errno;

	fprintf(stderr, format, what);
	fprintf(stderr, ": %s\n", strerror(error));
	exit(1);
}

static char *read_file(const char *path, size_t *length)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	*length = 0;
	if (!file)
		return NULL;
	for (;;) {
		if (size - *length < 4096)
			text = realloc(text, size += 65536);
		if (!text)
			die("%s", "memory");
		size_t got = fread(text + *length, 1, size - *length - 1, file);

		if (!got)
			break;
		*length += got;
	}
	fclose(file);
	text[*length] = '\0';
	return text;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Properties are records "name=value" ending in NUL, written by init; the last of a name counts. */
static size_t read_properties(char **records)
{
	size_t length, count = 0;
	char *text = read_file(PROPERTIES, &length);

	for (char *record = text; record && record < text + length; record += strlen(record) + 1) {
		size_t name = strcspn(record, "=") + 1, i = 0;

		while (i < count && strncmp(records[i], record, name))
			i++;
		if (i == MAX_PROPERTIES)
			break;
		records[i] = record;
		if (i == count)
			count++;
	}
	return count;
}

static int getprop(int argc, char **argv)
{
	char *records[MAX_PROPERTIES];
	size_t count = read_properties(records), length = argc > 1 ? strlen(argv[1]) : 0;

	if (argc > 1) {
		const char *value = argc > 2 ? argv[2] : "";

		for (size_t i = 0; i < count; i++)
			if (!strncmp(records[i], argv[1], length) && records[i][length] == '=')
				value = records[i] + length + 1;
		puts(value);
		return 0;
	}
	qsort(records, count, sizeof(*records), by_text);
	for (size_t i = 0; i < count; i++) {
		char *value = strchr(records[i], '=');

		if (value)
			printf("[%.*s]: [%s]\n", (int)(value - records[i]), records[i], value + 1);
	}
	return 0;
}

static int setprop(int argc, char **argv)
{
	char record[512];
	int fd, length;

	if (argc != 3) {
		fprintf(stderr, "usage: setprop NAME VALUE\n");
		return 1;
	}
	length = snprintf(record, sizeof(record), "%s=%s", argv[1], argv[2]);
	fd = open(PROPERTIES, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (strlen(argv[2]) >= MAX_VALUE || strchr(argv[1], '=') || length >= (int)sizeof(record) ||
	    fd < 0 || write(fd, record, (size_t)length + 1) < 0) {
		fprintf(stderr, "Failed to set property '%s' to '%s'.\nSee dmesg for error reason.\n",
			argv[1], argv[2]);
		return 1;
	}
	return 0;
}

static int getenforce(void)
{
	size_t length;
	char *text = read_file("/sys/fs/selinux/enforce", &length);

	puts(!text ? "Disabled" : *text == '1' ? "Enforcing" : "Permissive");
	return 0;
}

static int setenforce(int argc, char **argv)
{
	const char *wanted = argc == 2 ? argv[1] : "";
	int on = !strcmp(wanted, "1") || !strcasecmp(wanted, "enforcing");
	int fd;

	if (!on && strcmp(wanted, "0") && strcasecmp(wanted, "permissive")) {
		fprintf(stderr, "usage: setenforce [enforcing|permissive|1|0]\n");
		return 1;
	}
	fd = open("/sys/fs/selinux/enforce", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, on ? "1" : "0", 1) != 1)
		die("setenforce: Couldn't set enforcing status to '%s'", wanted);
	return 0;
}

static const char *user_name(uid_t uid)
{
	FILE *file = fopen("/system/etc/passwd", "re");

	for (struct passwd *user; file && (user = fgetpwent(file));)
		if (user->pw_uid == uid)
			return user->pw_name;
	return NULL;
}

static const char *group_name(gid_t gid)
{
	FILE *file = fopen("/system/etc/group", "re");

	for (struct group *group; file && (group = fgetgrent(file));)
		if (group->gr_gid == gid)
			return group->gr_name;
	return NULL;
}

static void print_id(const char *before, unsigned int id, const char *name)
{
	printf("%s%u", before, id);
	if (name)
		printf("(%s)", name);
}

static int print_short_id(char option)
{
	size_t length;
	char *context = read_file("/proc/self/attr/current", &length);

	switch (option) {
	case 'u':
		printf("%u\n", geteuid());
		return 0;
	case 'g':
		printf("%u\n", getegid());
		return 0;
	case 'Z':
		puts(context ? context : "");
		return 0;
	default:
		fprintf(stderr, "id: Unknown option '%c'\n", option);
		return 1;
	}
}

static int id(int argc, char **argv)
{
	gid_t groups[NGROUPS_MAX];
	int count = getgroups(NGROUPS_MAX, groups);
	size_t length;
	char *context = read_file("/proc/self/attr/current", &length);

	if (argc > 1 && !strcmp(argv[1], "-un")) {
		const char *name = user_name(geteuid());

		puts(name ? name : "?");
		return 0;
	}
	if (argc > 1)
		return print_short_id(argv[1][0] == '-' ? argv[1][1] : argv[1][0]);
	print_id("uid=", geteuid(), user_name(geteuid()));
	print_id(" gid=", getegid(), group_name(getegid()));
	print_id(" groups=", getegid(), group_name(getegid()));
	for (int i = 0; i < count; i++)
		if (groups[i] != getegid())
			print_id(",", groups[i], group_name(groups[i]));
	if (context)
		printf(" context=%s", context);
	putchar('\n');
	return 0;
}

/* Whether a path of modules.dep, up to `length`, is the module of that name ('-' is '_'). */
static int is_module(const char *path, size_t length, const char *name)
{
	const char *base = memrchr(path, '/', length);

	base = base ? base + 1 : path;
	for (; base < path + length && *base != '.' && *name; base++, name++)
		if (*base != *name && !(strchr("-_", *base) && strchr("-_", *name)))
			return 0;
	return !*name && *base == '.';
}

/* Give the kernel the module at `path` (of `length`), which is below `directory` if relative. */
static int insert(const char *directory, const char *path, size_t length, const char *parameters)
{
	char file[PATH_MAX];
	int fd, status;

	if (*path == '/')
		directory = "";
	snprintf(file, sizeof(file), "%s/%.*s", directory, (int)length, path);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	status = (int)syscall(SYS_finit_module, fd, parameters, 0);
	close(fd);
	return status && errno != EEXIST ? -1 : 0;
}

/* A line of modules.dep is "module: needed next-needed ...": load them from the last one on. */
static int insert_line(const char *directory, char *line, const char *parameters)
{
	size_t end = strlen(line), colon = strcspn(line, ":");

	while (end > colon + 1) {
		const char *space = memrchr(line, ' ', end);

		if (!space)
			break;
		if (space + 1 < line + end &&
		    insert(directory, space + 1, (size_t)(line + end - space - 1), ""))
			return -1;
		end = (size_t)(space - line);
	}
	return insert(directory, line, colon, parameters);
}

static int insert_named(const char *directory, const char *name, const char *parameters)
{
	char path[PATH_MAX], *text;
	size_t length;

	snprintf(path, sizeof(path), "%s/modules.dep", directory);
	text = read_file(path, &length);
	for (char *line = text ? strtok(text, "\n") : NULL; line; line = strtok(NULL, "\n"))
		if (is_module(line, strcspn(line, ":"), name))
			return insert_line(directory, line, parameters);
	errno = ENOENT;
	return -1;
}

/* As system/core/toolbox/modprobe.cpp, of which -d, -r, -a and -q are here. */
static int modprobe(int argc, char **argv)
{
	const char *directories[MAX_DIRECTORIES] = { "/lib/modules" };
	int count = 0, removing = 0, option;

	while ((option = getopt(argc, argv, "d:raq")) != -1) {
		if (option == 'd' && count < MAX_DIRECTORIES)
			directories[count++] = optarg;
		else if (option == 'r')
			removing = 1;
		else if (option == '?')
			return 1;
	}
	if (optind >= argc) {
		fprintf(stderr, "usage: modprobe [-r] [-d DIR]... MODULE [PARAMETERS]\n");
		return 1;
	}
	if (removing) {
		if (syscall(SYS_delete_module, argv[optind], O_NONBLOCK))
			die("modprobe: Failed to remove module %s", argv[optind]);
		return 0;
	}
	for (int i = 0; i < (count ? count : 1); i++)
		if (!insert_named(directories[i], argv[optind],
				  optind + 1 < argc ? argv[optind + 1] : ""))
			return 0;
	die("modprobe: Failed to load module %s", argv[optind]);
}

/* `adb remount` runs this (system/core/fs_mgr/fs_mgr_remount.cpp); the initramfs is writable. */
static int remount(void)
{
	if (geteuid()) {
		fprintf(stderr, "Not running as root. Try \"adb root\" first.\n");
		return 1;
	}
	puts("Remount succeeded");
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');

	name = name ? name + 1 : argv[0];
	if (!strcmp(name, "getprop"))
		return getprop(argc, argv);
	if (!strcmp(name, "setprop"))
		return setprop(argc, argv);
	if (!strcmp(name, "getenforce"))
		return getenforce();
	if (!strcmp(name, "setenforce"))
		return setenforce(argc, argv);
	if (!strcmp(name, "id"))
		return id(argc, argv);
	if (!strcmp(name, "modprobe"))
		return modprobe(argc, argv);
	if (!strcmp(name, "remount"))
		return remount();
	fprintf(stderr, "%s: not a command of this program\n", name);
	return 127;
}
