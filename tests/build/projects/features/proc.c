// SPDX-License-Identifier: GPL-2.0
#include <features.h>
#include <linux/proc_fs.h>

int features_proc(void)
{
	struct proc_dir_entry *entry = proc_mkdir("features-test", NULL);

	if (!entry)
		return 0;
	proc_remove(entry);
	return 1;
}
