// SPDX-License-Identifier: GPL-2.0
/* Calls a function for each byte of its stdin; the function has a USDT probe, written out as
 * <sys/sdt.h> would. */

/* The argument is a constant, which is spelled differently. */
#ifdef __aarch64__
#define ARGUMENT "-4@42"
#else
#define ARGUMENT "-4@$42"
#endif

__attribute__((noinline)) void work(void)
{
	__asm__ volatile("990: nop\n"
			 ".pushsection .note.stapsdt, \"?\", \"note\"\n"
			 ".balign 4\n"
			 ".4byte 992f - 991f, 994f - 993f, 3\n"
			 "991: .asciz \"stapsdt\"\n"
			 "992: .balign 4\n"
			 "993: .8byte 990b, _.stapsdt.base, 0\n"
			 ".asciz \"droid\", \"fired\", \"" ARGUMENT "\"\n"
			 "994: .balign 4\n"
			 ".popsection\n"
			 ".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n"
			 ".weak _.stapsdt.base\n"
			 "_.stapsdt.base: .space 1\n"
			 ".popsection\n");
}

#include <unistd.h>

int main(void)
{
	char byte;

	while (read(0, &byte, 1) > 0)
		work();
	return 0;
}
