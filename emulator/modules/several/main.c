// SPDX-License-Identifier: GPL-2.0
/* Of several objects: says what each of the others knows. */
#include <linux/init.h>
#include <linux/module.h>
#include <several.h>

static int __init several_init(void)
{
	pr_info("several: %s, %d, cpus %u\n", several_text, several_sum(SEVERAL_FIRST, 2),
		several_cpus());
	return 0;
}

static void __exit several_exit(void)
{
	pr_info("several: gone\n");
}

module_init(several_init);
module_exit(several_exit);
MODULE_DESCRIPTION("Has several objects and a header of its own");
MODULE_LICENSE("GPL");
