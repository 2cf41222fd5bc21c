// SPDX-License-Identifier: GPL-2.0
/* Calls what giver exports. */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/version.h>
#include "pair.h"

static int question = 41;
module_param(question, int, 0444);

static int __init taker_init(void)
{
	pr_info("taker: the answer is %d\n", pair_answer(question));
	return 0;
}

static void __exit taker_exit(void)
{
	pr_info("taker: gone\n");
}

module_init(taker_init);
module_exit(taker_exit);
MODULE_DESCRIPTION("Calls a function of giver");
MODULE_LICENSE("GPL");
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS("PAIR");
#else
MODULE_IMPORT_NS(PAIR);
#endif
