// SPDX-License-Identifier: Apache-2.0
/*
 * SELinux as Android's init starts it (system/core/init/selinux.cpp): policy, labels, enforcing.
 *
 * An initramfs carries no labels, and nothing is denied before a policy is loaded, so labels are
 * set here, right after it. The kernel keeps them with the inodes of rootfs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "selinux.h"

#define OBJECT(type) "u:object_r:" type ":s0"

/* From the general to the particular: a later entry relabels what an earlier one covered.
 * The types are those of system/sepolicy/private/file_contexts. */
static const struct {
	const char *path, *context;
	int below; /* also everything below it */
} labels[] = {
	{ "/system", OBJECT("system_file"), 1 },
	{ "/lib", OBJECT("system_file"), 1 },
	{ "/lib64", OBJECT("system_file"), 1 },
	{ "/usr", OBJECT("system_file"), 1 },
	{ "/system_dlkm", OBJECT("system_dlkm_file"), 1 },
	{ "/system/bin/adbd", OBJECT("adbd_exec"), 0 },
	{ "/system/bin/sh", OBJECT("shell_exec"), 0 },
	{ "/system/bin/toybox", OBJECT("toolbox_exec"), 0 },
	{ "/system/xbin/su", OBJECT("su_exec"), 0 },
	{ "/system/bin/su", OBJECT("magisk_exec"), 0 },
	{ "/data", OBJECT("system_data_file"), 1 },
	{ "/data/local/tmp", OBJECT("shell_data_file"), 1 },
};

static const char *context_to_set;

static void set_label(const char *path)
{
	/* An absent file is no fault: which su there is depends on the persona. */
	if (lsetxattr(path, "security.selinux", context_to_set, strlen(context_to_set) + 1, 0) &&
	    errno != ENOENT)
		fail("cannot label %s", path);
}

static int label_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	(void)status;
	(void)type;
	(void)ftw;
	set_label(path);
	return 0;
}

static void label_files(void)
{
	for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++) {
		context_to_set = labels[i].context;
		if (labels[i].below)
			nftw(labels[i].path, label_one, 8, FTW_PHYS);
		else
			set_label(labels[i].path);
	}
}

static void write_to(const char *path, const void *bytes, size_t length)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	/* selinuxfs and attr want everything in one write */
	if (fd < 0 || write(fd, bytes, length) != (ssize_t)length)
		fail("cannot write %s", path);
	close(fd);
}

static void load_policy(void)
{
	int fd = open("/sepolicy", O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *policy;

	if (fd < 0 || fstat(fd, &status))
		fail("cannot open /sepolicy");
	policy = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (policy == MAP_FAILED)
		fail("cannot read /sepolicy");
	write_to("/sys/fs/selinux/load", policy, (size_t)status.st_size);
	munmap(policy, (size_t)status.st_size);
	close(fd);
}

int has_selinux(void)
{
	return !access("/sys/fs/selinux/load", F_OK);
}

void start_selinux(void)
{
	static const char context[] = "u:r:init:s0";

	load_policy();
	label_files();
	write_to("/sys/fs/selinux/enforce", "1", 1);
	write_to("/proc/self/attr/current", context, sizeof(context));
}
