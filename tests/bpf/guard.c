// SPDX-License-Identifier: GPL-2.0
/* A program of the BPF LSM. */
#include "common.h"

int asked;

SEC("lsm/path_rmdir") int BPF_PROG(on_rmdir, void *dir, void *dentry, int result)
{
	asked++;
	return result;
}
