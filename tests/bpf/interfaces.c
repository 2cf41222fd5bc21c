// SPDX-License-Identifier: GPL-2.0
/* Programs of an interface. */
#include "common.h"

int received, classified, sent;

SEC("xdp") int on_xdp(struct xdp_md *packet)
{
	__sync_fetch_and_add(&received, 1);
	return XDP_PASS;
}

SEC("tc/ingress") int on_ingress(struct __sk_buff *packet)
{
	__sync_fetch_and_add(&classified, 1);
	return 0; /* TC_ACT_OK */
}

SEC("tc/egress") int on_egress(struct __sk_buff *packet)
{
	__sync_fetch_and_add(&sent, 1);
	return 0;
}
