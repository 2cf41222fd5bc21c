// SPDX-License-Identifier: GPL-2.0
/* Tells results in the log as KUnit does, for kernels without CONFIG_KUNIT: one suite, three cases. */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/string.h>

static char *how = "pass";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "pass, fail, skip, cut (not all results come) or none");

static int __init results_init(void)
{
	const char *all = strcmp(how, "skip") ? "" : " # SKIP nothing to be seen";
	const char *not = strcmp(how, "fail") ? "" : "not ";

	if (!strcmp(how, "none"))
		return 0;
	pr_info("KTAP version 1\n");
	pr_info("1..1\n");
	pr_info("    KTAP version 1\n");
	pr_info("    # Subtest: results\n");
	pr_info("    # module: results\n");
	pr_info("    1..3\n");
	pr_info("    ok 1 simple%s\n", all);
	pr_info("    ok 2 skipped # SKIP nothing to be seen\n");
	if (!strcmp(how, "cut"))
		return 0;
	pr_info("        KTAP version 1\n");
	pr_info("        # Subtest: params\n");
	pr_info("        ok 1 one%s\n", all);
	if (*not)
		pr_info("        # params: EXPECTATION FAILED at results.c:1\n");
	pr_info("        %sok 2 two%s\n", not, all);
	pr_info("    %sok 3 params%s\n", not, all);
	pr_info("%sok 1 results%s\n", not, all);
	return 0;
}

static void __exit results_exit(void)
{
}

module_init(results_init);
module_exit(results_exit);
MODULE_DESCRIPTION("Tells results");
MODULE_LICENSE("GPL");
