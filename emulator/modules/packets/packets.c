// SPDX-License-Identifier: GPL-2.0
/* A netfilter hook: says the first packet that leaves, and how many did. */
#include <linux/atomic.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/skbuff.h>
#include <net/net_namespace.h>

static atomic_t count = ATOMIC_INIT(0);

static unsigned int packets_seen(void *private, struct sk_buff *skb,
				 const struct nf_hook_state *state)
{
	if (atomic_inc_return(&count) == 1)
		pr_info("packets: one of %u bytes leaves by %s\n", skb->len, state->out->name);
	return NF_ACCEPT;
}

static const struct nf_hook_ops hook = {
	.hook = packets_seen,
	.pf = NFPROTO_IPV4,
	.hooknum = NF_INET_LOCAL_OUT,
	.priority = NF_IP_PRI_FIRST,
};

static int __init packets_init(void)
{
	return nf_register_net_hook(&init_net, &hook);
}

static void __exit packets_exit(void)
{
	nf_unregister_net_hook(&init_net, &hook);
	pr_info("packets: %d packets\n", atomic_read(&count));
}

module_init(packets_init);
module_exit(packets_exit);
MODULE_DESCRIPTION("Counts packets that leave");
MODULE_LICENSE("GPL");
