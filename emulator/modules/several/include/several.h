/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SEVERAL_H
#define SEVERAL_H

extern const char several_text[];

int several_sum(int a, int b);
#ifdef CONFIG_SMP
unsigned int several_cpus(void);
#else
static inline unsigned int several_cpus(void)
{
	return 1;
}
#endif

#endif
