/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What include/uapi asks of the kernel's linux/compiler_types.h. `make headers_install` takes these
 * words out (scripts/headers_install.sh); the headers that a kernel carries still have them.
 */
#ifndef DROIDHEADERS_COMPILER_TYPES_H
#define DROIDHEADERS_COMPILER_TYPES_H
#define __user
#define __force
#define __iomem
#define __attribute_const__ __attribute__((__const__))
#endif
