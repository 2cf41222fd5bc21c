// SPDX-License-Identifier: GPL-2.0
/* Makes the trouble that is asked for: at its beginning, in a timer or when /proc/trouble is read. */
#include <linux/bottom_half.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/workqueue.h>

static char *how = "none";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "null warn bug panic list atomic hang again busy leak, or none");

static char *when = "init";
module_param(when, charp, 0444);
MODULE_PARM_DESC(when, "init, work (a moment later), proc (when /proc/trouble is read) or exit");

static struct proc_dir_entry *entry;
static void trouble_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(later, trouble_work);

static noinline int trouble_null(void)
{
	int *volatile nothing = NULL;

	return *nothing;
}

static noinline void trouble_list(void)
{
	LIST_HEAD(head);
	struct list_head one;

	list_add(&one, &head);
	head.next = &head;
	list_del(&one);
}

static noinline void trouble_atomic(void)
{
	/* What preempt_disable() does is not counted by every kernel. */
	local_bh_disable();
	msleep(1);
}

static noinline void trouble_hang(void)
{
	for (;;)
		msleep(1000);
}

static noinline int trouble_make(void)
{
	pr_info("trouble: %s in %s\n", how, when);
	if (!strcmp(how, "null"))
		return trouble_null();
	if (!strcmp(how, "warn"))
		WARN(1, "trouble: a warning of %d words", 5);
	else if (!strcmp(how, "bug"))
		BUG();
	else if (!strcmp(how, "panic"))
		panic("trouble: as asked for");
	else if (!strcmp(how, "list"))
		trouble_list();
	else if (!strcmp(how, "atomic"))
		trouble_atomic();
	else if (!strcmp(how, "hang"))
		trouble_hang();
	else if (!strcmp(how, "again"))
		return -EAGAIN;
	else if (!strcmp(how, "busy"))
		return try_module_get(THIS_MODULE) ? 0 : -EBUSY;
	return 0;
}

static void trouble_work(struct work_struct *work)
{
	trouble_make();
}

static int trouble_show(struct seq_file *file, void *unused)
{
	if (!strcmp(when, "proc"))
		trouble_make();
	seq_puts(file, "trouble\n");
	return 0;
}

static int __init trouble_init(void)
{
	int error = 0;

	/* Only for who wants it: one that was left by a module before is in the way of another. */
	if (!strcmp(when, "proc") || !strcmp(how, "leak")) {
		entry = proc_create_single("trouble", 0444, NULL, trouble_show);
		if (!entry)
			return -ENOMEM;
	}
	if (!strcmp(when, "work"))
		schedule_delayed_work(&later, msecs_to_jiffies(100));
	else if (!strcmp(when, "init"))
		error = trouble_make();
	if (error)
		proc_remove(entry);
	return error;
}

static void __exit trouble_exit(void)
{
	cancel_delayed_work_sync(&later);
	if (!strcmp(when, "exit"))
		trouble_make();
	if (strcmp(how, "leak"))
		proc_remove(entry);
}

module_init(trouble_init);
module_exit(trouble_exit);
MODULE_DESCRIPTION("Makes the trouble that is asked for");
MODULE_LICENSE("GPL");
