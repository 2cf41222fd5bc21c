// SPDX-License-Identifier: GPL-2.0
/* A congestion control that does next to nothing. */
#include "common.h"

struct sock;
struct tcp_congestion_ops {
	u32 (*ssthresh)(struct sock *socket);
	u32 (*undo_cwnd)(struct sock *socket);
	void (*cong_avoid)(struct sock *socket, u32 acknowledged, u32 sent);
	char name[16];
};

SEC("struct_ops/ssthresh") u32 BPF_PROG(ssthresh)
{
	return 2;
}

SEC("struct_ops/undo_cwnd") u32 BPF_PROG(undo_cwnd)
{
	return 2;
}

SEC("struct_ops/cong_avoid") void BPF_PROG(cong_avoid)
{
}

SEC(".struct_ops") struct tcp_congestion_ops droid = {
	.ssthresh = (void *)ssthresh,
	.undo_cwnd = (void *)undo_cwnd,
	.cong_avoid = (void *)cong_avoid,
	.name = "bpf_droid",
};
