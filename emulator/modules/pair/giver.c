// SPDX-License-Identifier: GPL-2.0
/* Exports a function, in a namespace of its own. */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/version.h>
#include "pair.h"

int pair_answer(int question)
{
	return question + 1;
}

/* Names of namespaces are strings since 6.13: cdd30ebb1b9f. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
EXPORT_SYMBOL_NS_GPL(pair_answer, "PAIR");
#else
EXPORT_SYMBOL_NS_GPL(pair_answer, PAIR);
#endif

static int __init giver_init(void)
{
	pr_info("giver: here\n");
	return 0;
}

static void __exit giver_exit(void)
{
	pr_info("giver: gone\n");
}

module_init(giver_init);
module_exit(giver_exit);
MODULE_DESCRIPTION("Exports a function");
MODULE_LICENSE("GPL");
