// SPDX-License-Identifier: GPL-2.0
/* A program of the BPF LSM, for a control group. */
#include "common.h"

int created;

SEC("lsm_cgroup/socket_create")
int BPF_PROG(on_create, int family, int type, int protocol, int kernel)
{
	__sync_fetch_and_add(&created, 1);
	return 1;
}
