// SPDX-License-Identifier: GPL-2.0
/* The command line. */
#define _GNU_SOURCE
#include "loader.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

struct options options = { .trace = true };

char *split(char *word, char at)
{
	char *rest = strchr(word, at);

	if (rest)
		*rest++ = '\0';
	return rest;
}

static void append(struct words *words, char *word)
{
	if (words->count == COUNT(words->word))
		fail("open", NULL, NULL, E2BIG, "more than %zu options of a kind",
		     COUNT(words->word));
	words->word[words->count++] = word;
}

static pid_t process(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (*end || number <= 0 || number > 1 << 30)
		fail("open", NULL, NULL, EINVAL, "--pid %s is no process", text);
	return (pid_t)number;
}

static void read_option(int which)
{
	switch (which) {
	case 's': append(&options.set, optarg); break;
	case 'm': append(&options.map, optarg); break;
	case 'd': append(&options.dump, optarg); break;
	case 'e': append(&options.event, optarg); break;
	case 'b': options.btf = optarg; break;
	case 'i': options.interface = optarg; break;
	case 'c': options.cgroup = optarg; break;
	case 'p': options.pin = optarg; break;
	case 'P': options.pid = process(optarg); break;
	case 't': options.trace = false; break;
	default: fail("open", NULL, NULL, EINVAL, "an option that the loader does not have");
	}
}

void read_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "set", required_argument, NULL, 's' },
		{ "map", required_argument, NULL, 'm' },
		{ "dump", required_argument, NULL, 'd' },
		{ "event", required_argument, NULL, 'e' },
		{ "btf", required_argument, NULL, 'b' },
		{ "interface", required_argument, NULL, 'i' },
		{ "cgroup", required_argument, NULL, 'c' },
		{ "pin", required_argument, NULL, 'p' },
		{ "pid", required_argument, NULL, 'P' },
		{ "no-trace", no_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int which;

	opterr = 0;
	while ((which = getopt_long(argc, argv, "", known, NULL)) != -1)
		read_option(which);
	if (optind + 1 != argc)
		fail("open", NULL, NULL, EINVAL, "one object is loaded at a time, not %d",
		     argc - optind);
	options.object = argv[optind];
}
