/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs of the loader's tests share. Types are those of the kernel as far as they are
 * used, and relocated against its BTF. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

typedef __u32 u32;
typedef __u64 u64;

char LICENSE[] SEC("license") = "GPL";
