// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

static int __init single_init(void)
{
	return FEATURES_EXTRA ? 0 : -EINVAL;
}

static void __exit single_exit(void)
{
}

module_init(single_init);
module_exit(single_exit);
MODULE_DESCRIPTION("A module of one file beside another");
MODULE_LICENSE("GPL");
