// SPDX-License-Identifier: Apache-2.0
/* What init needs of SELinux, without libselinux. */
#ifndef SELINUX_H
#define SELINUX_H

/* Whether the kernel has SELinux and the command line chose it; selinuxfs is mounted before. */
int has_selinux(void);

/* Load /sepolicy, label the files of the initramfs, enforce, and become u:r:init:s0. */
void start_selinux(void);

/* Tell the host why, with errno's text if it is set, and power off; init has it. */
__attribute__((format(printf, 1, 2))) _Noreturn void fail(const char *format, ...);

#endif
