// SPDX-License-Identifier: GPL-2.0
/* Says the first time that a function of the kernel is called, and how often it was in the end. */
#include <linux/atomic.h>
#include <linux/init.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched.h>

static char *symbol = "do_sys_openat2";
module_param(symbol, charp, 0444);

static atomic_t hits = ATOMIC_INIT(0);

static int probing_hit(struct kprobe *probe, struct pt_regs *regs)
{
	if (atomic_inc_return(&hits) == 1)
		pr_info("probing: %s called by %s\n", probe->symbol_name, current->comm);
	return 0;
}

static struct kprobe probe = {
	.pre_handler = probing_hit,
};

static int __init probing_init(void)
{
	int error;

	probe.symbol_name = symbol;
	error = register_kprobe(&probe);
	if (error)
		pr_err("probing: no probe on %s: %d\n", symbol, error);
	else
		pr_info("probing: probe on %s\n", symbol);
	return error;
}

static void __exit probing_exit(void)
{
	unregister_kprobe(&probe);
	pr_info("probing: %d hits\n", atomic_read(&hits));
}

module_init(probing_init);
module_exit(probing_exit);
MODULE_DESCRIPTION("Probes a function");
MODULE_LICENSE("GPL");
