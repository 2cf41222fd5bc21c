// SPDX-License-Identifier: GPL-2.0
#include <features.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/slab.h>

#ifndef FEATURES_SEES_CONFIG
#error "Kbuild does not see the configuration"
#endif

static int level = FEATURES_LEVEL;
module_param(level, int, 0444);
MODULE_PARM_DESC(level, "a number");

int features_sum(int more)
{
	return level + more;
}
EXPORT_SYMBOL_GPL(features_sum);

static int __init features_init(void)
{
	void *memory = kmalloc(64, GFP_KERNEL);

	if (!memory)
		return -ENOMEM;
	kfree(memory);
	pr_info("features: %d %d %d %d\n", features_second(), features_third(), features_entry(),
		features_proc());
	return 0;
}

static void __exit features_exit(void)
{
	pr_info("features: gone\n");
}

module_init(features_init);
module_exit(features_exit);
MODULE_DESCRIPTION("What Kbuild offers to external modules");
MODULE_LICENSE("GPL");
