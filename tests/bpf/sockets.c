// SPDX-License-Identifier: GPL-2.0
/* Programs of sockets and control groups. */
#include "common.h"

int filtered, incoming, outgoing, created, connected, written, opened;

SEC("socket") int on_packet(struct __sk_buff *packet)
{
	__sync_fetch_and_add(&filtered, 1);
	return 0;
}

SEC("cgroup_skb/ingress") int on_ingress(struct __sk_buff *packet)
{
	__sync_fetch_and_add(&incoming, 1);
	return 1;
}

SEC("cgroup_skb/egress") int on_egress(struct __sk_buff *packet)
{
	__sync_fetch_and_add(&outgoing, 1);
	return 1;
}

SEC("cgroup/sock_create") int on_socket(struct bpf_sock *socket)
{
	__sync_fetch_and_add(&created, 1);
	return 1;
}

SEC("cgroup/connect4") int on_connect(struct bpf_sock_addr *address)
{
	__sync_fetch_and_add(&connected, 1);
	return 1;
}

SEC("cgroup/sysctl") int on_sysctl(struct bpf_sysctl *value)
{
	__sync_fetch_and_add(&written, 1);
	return 1;
}

SEC("cgroup/dev") int on_device(struct bpf_cgroup_dev_ctx *device)
{
	__sync_fetch_and_add(&opened, 1);
	return 1;
}
