// SPDX-License-Identifier: Apache-2.0
/*
 * su as Magisk has it (native/src/core/su): `su [options] [-] [USER [ARGUMENT...]]`.
 *
 * The command goes with -c; arguments after the user are the shell's own, so `su 0 id` looks for a
 * script called id. Only root and shell may call it: nobody is there to tap "grant".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AID_SHELL 2000
#define MAX_ARGUMENTS 64

static const char usage[] =
	"usage: su [options] [-] [USER [ARGUMENT...]]\n"
	"  -c, --command COMMAND   pass COMMAND to the shell\n"
	"  -s, --shell SHELL       use SHELL instead of /system/bin/sh\n"
	"  -l, --login             make it a login shell\n"
	"  -p, --preserve-environment, -m, -mm, -M, --mount-master\n"
	"                          accepted\n"
	"  -v, -V                  print the version\n";

static uid_t parse_user(const char *word)
{
	char *end;
	unsigned long id = strtoul(word, &end, 10);
	FILE *file;

	if (*word && !*end)
		return (uid_t)id;
	file = fopen("/system/etc/passwd", "re");
	for (struct passwd *user; file && (user = fgetpwent(file));)
		if (!strcmp(user->pw_name, word))
			return user->pw_uid;
	fprintf(stderr, "su: unknown user %s\n", word);
	exit(1);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "command", required_argument, NULL, 'c' },
		{ "shell", required_argument, NULL, 's' },
		{ "login", no_argument, NULL, 'l' },
		{ "preserve-environment", no_argument, NULL, 'p' },
		{ "mount-master", no_argument, NULL, 'M' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	char *shell = "/system/bin/sh", *command = NULL, *name = "sh";
	char *arguments[MAX_ARGUMENTS + 4];
	int count = 0, option;
	uid_t caller = getuid(), uid = 0;

	if (caller != 0 && caller != AID_SHELL) {
		fprintf(stderr, "Permission denied\n");
		return 13; /* EACCES, as magiskd answers a refusal */
	}
	/* No '+': as in Magisk, options are found after the user as well. */
	while ((option = getopt_long(argc, argv, "c:s:lpmMhvV", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			command = optarg;
			break;
		case 's':
			shell = optarg;
			break;
		case 'l':
			name = "-sh";
			break;
		case 'p':
		case 'm':
		case 'M':
			break;
		case 'v':
			printf("27.0:MAGISKSU\n");
			return 0;
		case 'V':
			printf("27000\n");
			return 0;
		default:
			fputs(usage, option == 'h' ? stdout : stderr);
			return option == 'h' ? 0 : 2;
		}
	}
	if (optind < argc && !strcmp(argv[optind], "-")) {
		name = "-sh";
		optind++;
	}
	if (optind < argc)
		uid = parse_user(argv[optind++]);
	arguments[count++] = name;
	if (command) {
		arguments[count++] = "-c";
		arguments[count++] = command;
	}
	while (optind < argc && count < MAX_ARGUMENTS)
		arguments[count++] = argv[optind++];
	arguments[count] = NULL;
	if (setgroups(0, NULL) || setgid(uid) || setuid(uid)) {
		fprintf(stderr, "su: cannot change identity: %s\n", strerror(errno));
		return 1;
	}
	execv(shell, arguments);
	fprintf(stderr, "Cannot execute %s: %s\n", shell, strerror(errno));
	return 1;
}
