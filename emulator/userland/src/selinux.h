// SPDX-License-Identifier: Apache-2.0
/* What init needs of SELinux, without libselinux, and what selinux.c needs of init. */
#ifndef SELINUX_H
#define SELINUX_H

/* Load /sepolicy, label the files of the initramfs, enforce, and become u:r:init:s0. */
void start_selinux(void);

/* Tell the host why, with errno's text if it is set, and power off. */
__attribute__((format(printf, 1, 2))) _Noreturn void fail(const char *format, ...);

#endif
