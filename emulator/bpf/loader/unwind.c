// SPDX-License-Identifier: GPL-2.0
/* What the C library would unwind a cancelled thread with: there is one thread, and small.lds
 * leaves out the tables. */
#include <stdlib.h>

__attribute__((noreturn)) void _Unwind_Resume(void *exception);
int __gcc_personality_v0(void);

void _Unwind_Resume(void *exception)
{
	(void)exception;
	abort();
}

int __gcc_personality_v0(void)
{
	abort();
}
