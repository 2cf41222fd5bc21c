// SPDX-License-Identifier: GPL-2.0
/* Says what its parameters hold, at its beginning and at its end. */
#include <linux/init.h>
#include <linux/module.h>

static char *who = "world";
module_param(who, charp, 0444);
MODULE_PARM_DESC(who, "whom to greet");

static int times = 1;
module_param(times, int, 0444);
MODULE_PARM_DESC(times, "how often");

static int __init hello_init(void)
{
	int i;

	for (i = 1; i <= times; i++)
		pr_info("hello: hello %s, %d of %d\n", who, i, times);
	return 0;
}

static void __exit hello_exit(void)
{
	pr_info("hello: goodbye %s\n", who);
}

module_init(hello_init);
module_exit(hello_exit);
MODULE_DESCRIPTION("Greets");
MODULE_LICENSE("GPL");
