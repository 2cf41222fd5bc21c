// SPDX-License-Identifier: Apache-2.0
/*
 * su as on userdebug builds (system/extras/su/su.cpp): `su [UID[,GID[,GID]...]] [COMMAND...]`.
 *
 * There is no -c: a first word that is not a user fails. Only root and shell may call it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AID_SHELL 2000
#define MAX_GROUPS 16

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "su: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A number, or a name of /etc/passwd (read here: getpwnam is not for static programs). */
static unsigned int parse_id(const char *word)
{
	char *end;
	unsigned long id = strtoul(word, &end, 10);
	FILE *file;

	if (*word && !*end)
		return (unsigned int)id;
	file = fopen("/system/etc/passwd", "re");
	for (struct passwd *user; file && (user = fgetpwent(file));)
		if (!strcmp(user->pw_name, word))
			return user->pw_uid;
	fprintf(stderr, "su: invalid uid/gid '%s'\n", word);
	exit(1);
}

int main(int argc, char **argv)
{
	char *shell[] = { "/system/bin/sh", NULL };
	uid_t caller = getuid(), uid = 0;
	gid_t gid = 0, groups[MAX_GROUPS];
	size_t count = 0;

	if (caller != 0 && caller != AID_SHELL) {
		fprintf(stderr, "su: uid %u not allowed to su\n", caller);
		return 1;
	}
	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		fprintf(stderr, "usage: su [WHO [COMMAND...]]\n");
		return 0;
	}
	argv++;
	if (*argv) {
		char *list = *argv++;

		uid = gid = parse_id(strsep(&list, ","));
		if (list)
			gid = parse_id(strsep(&list, ","));
		while (list && count < MAX_GROUPS)
			groups[count++] = parse_id(strsep(&list, ","));
	}
	if (setgroups(count, groups) || setgid(gid) || setuid(uid))
		fail("cannot change identity");
	if (!*argv)
		argv = shell;
	execvp(argv[0], argv);
	fprintf(stderr, "su: failed to exec %s: %s\n", argv[0], strerror(errno));
	return 1;
}
