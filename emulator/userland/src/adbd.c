// SPDX-License-Identifier: Apache-2.0
/* adbd as a service of Android's init: with the rights the persona allows, and again if it ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "adbd.h"

#define ADBD "/system/bin/adbd"
#define AID_SHELL 2000
#define MAX_EARLY_DEATHS 5

int adbd_is_root;

static int drops_all_capabilities;
static pid_t adbd_pid;
static time_t adbd_started;
static int early_deaths;

_Noreturn void fail(const char *why)
{
	printf("droidheaders: failed: %s%s%s\n", why, errno ? ": " : "", errno ? strerror(errno) : "");
	fflush(stdout);
	exit(1);
}

static void set_exec_context(const char *context)
{
	int fd;

	if (access("/sys/fs/selinux/load", F_OK))
		return; /* init lets only the persona root do without SELinux */
	fd = open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, context, strlen(context)) < 0)
		fail("cannot set the SELinux context of adbd");
	close(fd);
}

/* The groups of adbd are those of packages/modules/adb/daemon/main.cpp. A production build drops
 * the bounding set as well, so that no file can give capabilities back. */
static void become_shell(void)
{
	static const gid_t groups[] = { 1004, 1007, 1011, 1015, 1028, 1078, 1079, 3001, 3002,
					3003, 3006, 3009, 3011, 3012 };

	if (drops_all_capabilities)
		for (int cap = 0; !prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); cap++)
			continue;
	if (setgroups(sizeof(groups) / sizeof(*groups), groups) || setgid(AID_SHELL) ||
	    setuid(AID_SHELL))
		fail("cannot become the shell user");
}

static void start_adbd(void)
{
	char port[32];
	/* bionic/libc/include/paths.h and system/core/rootdir/init.environ.rc.in */
	char *const environment[] = {
		port,
		"PATH=/product/bin:/apex/com.android.runtime/bin:/system_ext/bin:/system/bin:"
		"/system/xbin:/odm/bin:/vendor/bin:/vendor/xbin",
		"ANDROID_ROOT=/system",
		"ANDROID_DATA=/data",
		"ENV=/system/etc/mkshrc",
		NULL,
	};
	char *const argv[] = { "adbd", NULL };
	sigset_t none;

	snprintf(port, sizeof(port), "ADBD_PORT=%d", ADBD_PORT);
	adbd_started = time(NULL);
	adbd_pid = fork();
	if (adbd_pid < 0)
		fail("cannot fork");
	if (adbd_pid)
		return;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(0);
	close(STDIN_FILENO);
	open("/dev/null", O_RDWR);
	set_exec_context(adbd_is_root ? "u:r:su:s0" : "u:r:adbd:s0");
	if (!adbd_is_root)
		become_shell();
	execve(ADBD, argv, environment);
	fail("cannot start " ADBD);
}

void adbd_start(const char *persona)
{
	adbd_is_root = !strcmp(persona, "root");
	drops_all_capabilities = !strcmp(persona, "user");
	start_adbd();
}

void adbd_restart(int as_root)
{
	adbd_is_root = as_root;
	early_deaths = 0;
	kill(adbd_pid, SIGKILL); /* its end starts the next one, see adbd_reap() */
}

void adbd_reap(int signals)
{
	struct signalfd_siginfo info;
	pid_t dead;

	if (read(signals, &info, sizeof(info)) < 0)
		return;
	while ((dead = waitpid(-1, NULL, WNOHANG)) > 0) {
		if (dead != adbd_pid)
			continue;
		early_deaths = time(NULL) - adbd_started < 2 ? early_deaths + 1 : 0;
		if (early_deaths > MAX_EARLY_DEATHS) {
			errno = 0;
			fail("adbd keeps dying");
		}
		start_adbd();
	}
}
