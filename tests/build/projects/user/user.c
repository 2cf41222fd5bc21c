// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

int features_sum(int more);

static int __init user_init(void)
{
	pr_info("user: %d\n", features_sum(1));
	return 0;
}

static void __exit user_exit(void)
{
}

module_init(user_init);
module_exit(user_exit);
MODULE_DESCRIPTION("Uses what another module exports: KBUILD_EXTRA_SYMBOLS");
MODULE_LICENSE("GPL");
