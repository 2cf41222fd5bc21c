// SPDX-License-Identifier: GPL-2.0
/* Programs on a trampoline. */
#include "common.h"

int entered, left, modified;

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

SEC("fmod_ret/security_inode_rmdir") int BPF_PROG(on_result)
{
	modified++;
	return 0;
}
