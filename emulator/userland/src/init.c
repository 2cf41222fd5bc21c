// SPDX-License-Identifier: Apache-2.0
/*
 * The first process of the guest: mounts, SELinux, modules, network, properties, the adb front.
 *
 * One static program and no scripts, because under TCG every process costs tens of milliseconds.
 * What it does and when follows system/core/init of AOSP as far as a tool behind adb can see.
 * Lines on the console starting with "droidheaders:" are for the host, which waits for them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <net/if.h>
#include <net/route.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selinux.h"

#define BOOT_MODULES "/boot-modules/load"
#define PROPERTIES "/dev/__properties__"

static char persona[16] = "user";
static char kheaders[16] = "module";

static _Noreturn void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	_exit(1); /* a kernel that cannot power off panics here, which ends QEMU as well */
}

void fail(const char *format, ...)
{
	int error = errno;
	va_list args;

	printf("droidheaders: failed: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("%s%s\n", error ? ": " : "", error ? strerror(error) : "");
	fflush(stdout);
	power_off();
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return; /* not every kernel has every knob */
	if (write(fd, text, strlen(text)) < 0)
		printf("droidheaders: %s: %s\n", path, strerror(errno));
	close(fd);
}

/* The console the kernel opened is the initramfs's own node, which has rootfs's label and so would
 * be taken from adbd; the one of devtmpfs is labelled as a device. */
static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	if (fd < 0)
		fail("cannot open /dev/console");
	for (int standard = 0; standard <= 2; standard++)
		dup2(fd, standard);
	if (fd > 2)
		close(fd);
}

/* Where Android has them; one that the kernel lacks is left out, apart from those we need. */
static void mount_all(void)
{
	static const struct {
		const char *type, *where, *options;
		int needed;
	} mounts[] = {
		{ "devtmpfs", "/dev", "mode=0755", 1 },
		{ "devpts", "/dev/pts", "mode=0620,ptmxmode=0666", 1 },
		{ "proc", "/proc", NULL, 1 },
		{ "sysfs", "/sys", NULL, 1 },
		{ "selinuxfs", "/sys/fs/selinux", NULL, 0 },
		{ "debugfs", "/sys/kernel/debug", "mode=0755", 0 },
		{ "tracefs", "/sys/kernel/tracing", "mode=0755,gid=3012", 0 }, /* readtracefs */
		{ "bpf", "/sys/fs/bpf", NULL, 0 },
		{ "cgroup2", "/sys/fs/cgroup", NULL, 0 },
	};

	for (size_t i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
		if (!strcmp(mounts[i].type, "devpts"))
			mkdir("/dev/pts", 0755);
		if (mount(mounts[i].type, mounts[i].where, mounts[i].type, MS_NOSUID | MS_NOEXEC,
			  mounts[i].options) &&
		    mounts[i].needed)
			fail("cannot mount %s", mounts[i].where);
	}
	/* system/core/libprocessgroup/profiles/cgroups.json, 1000 being system */
	if (!access("/sys/fs/cgroup/cgroup.procs", F_OK) &&
	    (chown("/sys/fs/cgroup", 1000, 1000) || chmod("/sys/fs/cgroup", 0775)))
		fail("cannot give /sys/fs/cgroup to system");
	open_console();
	/* devtmpfs knows only 0600; these are Android's modes (system/core/rootdir/ueventd.rc). */
	chmod("/dev/ptmx", 0666);
	chmod("/dev/tty", 0666);
	if (symlink("/proc/self/fd", "/dev/fd") || symlink("/proc/self/fd/0", "/dev/stdin") ||
	    symlink("/proc/self/fd/1", "/dev/stdout") || symlink("/proc/self/fd/2", "/dev/stderr"))
		fail("cannot make /dev/fd");
}

static void take_argument(char *word, const char *key, char *into, size_t size)
{
	if (!strncmp(word, key, strlen(key)))
		snprintf(into, size, "%s", word + strlen(key));
}

static void read_command_line(void)
{
	char line[4096] = "";
	FILE *file = fopen("/proc/cmdline", "re");

	if (!file || !fgets(line, sizeof(line), file))
		fail("cannot read /proc/cmdline");
	fclose(file);
	for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
		take_argument(word, "droidheaders.persona=", persona, sizeof(persona));
		take_argument(word, "droidheaders.kheaders=", kheaders, sizeof(kheaders));
	}
	errno = 0;
	if (strcmp(persona, "user") && strcmp(persona, "userdebug") && strcmp(persona, "su") &&
	    strcmp(persona, "root"))
		fail("no such persona: %s", persona);
	if (strcmp(kheaders, "module") && strcmp(kheaders, "loaded") && strcmp(kheaders, "none"))
		fail("no such droidheaders.kheaders: %s", kheaders);
}

/* A kernel that takes signed modules only does without configs.ko, which nobody signed; without a
 * network, if it is the distribution's own that it does not take, the guest fails soon enough. */
static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail("cannot open %s", path);
	if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST && errno != EKEYREJECTED)
		fail("cannot load %s", path);
	close(fd);
}

static void load_boot_modules(void)
{
	char path[PATH_MAX];
	FILE *list = fopen(BOOT_MODULES, "re");

	if (!list)
		fail("cannot open " BOOT_MODULES);
	while (fgets(path, sizeof(path), list)) {
		path[strcspn(path, "\n")] = '\0';
		if (*path)
			load_module(path);
	}
	fclose(list);
}

static int handle_kheaders(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	(void)status;
	if (type != FTW_F || strcmp(path + ftw->base, "kheaders.ko"))
		return 0;
	if (!strcmp(kheaders, "loaded"))
		load_module(path);
	else if (unlink(path))
		fail("cannot remove %s", path);
	return 0;
}

static void set_address(int fd, const char *interface, const char *address, const char *mask)
{
	struct ifreq request = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	in->sin_family = AF_INET;
	inet_pton(AF_INET, address, &in->sin_addr);
	if (ioctl(fd, SIOCSIFADDR, &request))
		fail("cannot give %s an address", interface);
	inet_pton(AF_INET, mask, &in->sin_addr);
	if (ioctl(fd, SIOCSIFNETMASK, &request))
		fail("cannot give %s a netmask", interface);
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &request))
		fail("cannot bring %s up", interface);
}

/* QEMU's user network is always the same, so DHCP would only cost time. */
static void start_network(void)
{
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
	struct sockaddr_in *gateway = (struct sockaddr_in *)&route.rt_gateway;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("cannot open a socket");
	for (int tries = 0; !if_nametoindex("eth0"); tries++) {
		if (tries == 300)
			fail("no eth0");
		usleep(10000);
	}
	set_address(fd, "lo", "127.0.0.1", "255.0.0.0");
	set_address(fd, "eth0", "10.0.2.15", "255.255.255.0");
	route.rt_dst.sa_family = AF_INET;
	route.rt_genmask.sa_family = AF_INET;
	gateway->sin_family = AF_INET;
	inet_pton(AF_INET, "10.0.2.2", &gateway->sin_addr);
	if (ioctl(fd, SIOCADDRT, &route))
		fail("cannot set the default route");
	close(fd);
}

/*
 * Properties are records "name=value" ending in NUL, since a value may hold newlines; the last
 * record of a name counts. See tools.c, which reads and adds them.
 */
static void load_properties(const char *path, FILE *out)
{
	char line[512];
	FILE *in = fopen(path, "re");

	if (!in)
		fail("cannot open %s", path);
	while (fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		if (*line && *line != '#')
			fwrite(line, strlen(line) + 1, 1, out);
	}
	fclose(in);
}

static void start_properties(void)
{
	char path[PATH_MAX];
	FILE *out;

	mkdir(PROPERTIES, 0711);
	umask(022);
	out = fopen(PROPERTIES "/properties", "we");
	if (!out)
		fail("cannot make " PROPERTIES "/properties");
	load_properties("/system/build.prop", out);
	snprintf(path, sizeof(path), "/system/etc/personas/%s.prop", persona);
	load_properties(path, out);
	if (fclose(out))
		fail("cannot write properties");
}

/* Only the persona's own su may exist: others would give root to whoever looks for them. */
static void place_su(void)
{
	int aosp = !strcmp(persona, "userdebug");
	int magisk = !strcmp(persona, "su");

	if (!aosp && unlink("/system/xbin/su"))
		fail("cannot remove /system/xbin/su");
	if (!magisk && unlink("/system/bin/su"))
		fail("cannot remove /system/bin/su");
}

/* Start the front, which starts adbd: both get ready on one CPU while modules load on another. It
 * tells the host that it listens when its standard input ends, which is for us to close. */
static pid_t start_front(int *hold)
{
	char *const argv[] = { "adbfront", persona, NULL };
	int ends[2] = { -1, -1 };
	pid_t pid = pipe2(ends, O_CLOEXEC) ? -1 : fork();
	sigset_t none;

	if (pid < 0)
		fail("cannot fork");
	*hold = ends[1];
	if (pid) {
		close(ends[0]);
		return pid;
	}
	dup2(ends[0], STDIN_FILENO);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv("/system/bin/adbfront", argv);
	fail("cannot start /system/bin/adbfront");
}

/* One's own kernel may lack SELinux: root does not notice, the others would be root in disguise. */
static void secure(void)
{
	if (has_selinux()) {
		start_selinux();
		return;
	}
	errno = 0;
	if (strcmp(persona, "root"))
		fail("this kernel has no SELinux, which the persona %s needs", persona);
}

/* toybox's reboot, halt and poweroff send PID 1 these signals, as sysvinit had it. */
static _Noreturn void serve(pid_t front, const sigset_t *signals)
{
	for (;;) {
		int signal = sigwaitinfo(signals, NULL);
		pid_t dead;

		if (signal == SIGTERM) {
			sync();
			reboot(RB_AUTOBOOT);
		} else if (signal == SIGUSR1 || signal == SIGUSR2) {
			power_off();
		}
		while ((dead = waitpid(-1, NULL, WNOHANG)) > 0) {
			errno = 0;
			if (dead == front)
				fail("the adb front ended");
		}
	}
}

int main(void)
{
	sigset_t signals;
	pid_t front;
	int hold;

	printf("droidheaders: init\n");
	fflush(stdout);
	umask(0);
	chmod("/", 0755); /* the kernel makes it 1777, and puts an empty /root there */
	rmdir("/root");
	mount_all();
	/* A new policy and each module wait for RCU: half a second of a boot under TCG. */
	put("/sys/kernel/rcu_expedited", "1");
	read_command_line();
	place_su();
	secure();
	start_properties();
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGUSR2);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	front = start_front(&hold);

	load_boot_modules();
	if (strcmp(kheaders, "module"))
		nftw("/system_dlkm", handle_kheaders, 8, FTW_PHYS);
	start_network();
	/* As system/core/rootdir/init.rc has them. */
	put("/proc/sys/kernel/kptr_restrict", "2");
	put("/proc/sys/kernel/perf_event_paranoid", "-1"); /* SELinux has the say */
	put("/proc/sys/kernel/hostname", "localhost");
	/* As bpfloader has them (system/bpf/bpfloader/BpfLoader.cpp): SELinux has the say here too. */
	put("/proc/sys/kernel/unprivileged_bpf_disabled", "0");
	put("/proc/sys/net/core/bpf_jit_enable", "1");
	put("/proc/sys/net/core/bpf_jit_kallsyms", "1");
	put("/sys/kernel/rcu_expedited", "0");
	close(hold);
	serve(front, &signals);
}
