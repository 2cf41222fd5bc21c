// SPDX-License-Identifier: GPL-2.0
/* Programs on functions that the kernel itself finds, and on several. */
#include "common.h"

int entered, left, matched;

SEC("kprobe.multi/security_inode_rmdir") int on_entry(void *context)
{
	__sync_fetch_and_add(&entered, 1);
	return 0;
}

SEC("kretprobe.multi/security_inode_rmdir") int on_return(void *context)
{
	__sync_fetch_and_add(&left, 1);
	return 0;
}

SEC("kprobe.multi/security_inode_*dir") int on_pattern(void *context)
{
	__sync_fetch_and_add(&matched, 1);
	return 0;
}
