// SPDX-License-Identifier: GPL-2.0
/*
 * Serves an archive at /proc/kheaders.txz, where the first proposal of in-kernel headers had it: one
 * with what modules are built by in it, besides headers. The archive is seed.txz beside this file.
 */
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/proc_fs.h>

asm(".pushsection .rodata, \"a\"\n"
    "seed_begin: .incbin \"seed.txz\"\n"
    "seed_end:\n"
    ".popsection\n");

extern const char seed_begin[], seed_end[];

static ssize_t seed_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	return simple_read_from_buffer(to, count, at, seed_begin, seed_end - seed_begin);
}

static const struct proc_ops seed_ops = {
	.proc_read = seed_read,
	.proc_lseek = default_llseek,
};

static int __init seed_init(void)
{
	struct proc_dir_entry *entry = proc_create("kheaders.txz", 0444, NULL, &seed_ops);

	if (!entry)
		return -ENOMEM;
	proc_set_size(entry, seed_end - seed_begin);
	return 0;
}

static void __exit seed_exit(void)
{
	remove_proc_entry("kheaders.txz", NULL);
}

module_init(seed_init);
module_exit(seed_exit);
MODULE_DESCRIPTION("An archive of headers with build artifacts, at /proc/kheaders.txz");
MODULE_LICENSE("GPL");
