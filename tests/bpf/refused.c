// SPDX-License-Identifier: GPL-2.0
/* A program that the verifier refuses. */
#include "common.h"

SEC("kprobe/security_inode_rmdir") int refused(void *context)
{
	return *(int *)bpf_get_current_task();
}
