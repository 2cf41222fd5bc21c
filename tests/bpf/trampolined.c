// SPDX-License-Identifier: GPL-2.0
/* Programs on a trampoline. */
#include "common.h"

int entered, left;

SEC("fentry/security_inode_rmdir") int BPF_PROG(on_entry)
{
	entered++;
	return 0;
}

SEC("fexit/security_inode_rmdir") int BPF_PROG(on_exit)
{
	left++;
	return 0;
}
