// SPDX-License-Identifier: GPL-2.0
/* /dev/chardev: says what is written to it, and is in use while it is open. */
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/uaccess.h>

static const char text[] = "text of chardev\n";

static ssize_t chardev_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	return simple_read_from_buffer(to, size, at, text, sizeof(text) - 1);
}

static ssize_t chardev_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	char line[64];
	size_t kept = min(size, sizeof(line) - 1);

	if (copy_from_user(line, from, kept))
		return -EFAULT;
	line[kept] = '\0';
	pr_info("chardev: written: %s\n", strim(line));
	return size;
}

static const struct file_operations chardev_fops = {
	.owner = THIS_MODULE,
	.read = chardev_read,
	.write = chardev_write,
};

static struct miscdevice chardev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "chardev",
	.fops = &chardev_fops,
	.mode = 0666,
};

module_misc_device(chardev);
MODULE_DESCRIPTION("A character device");
MODULE_LICENSE("GPL");
