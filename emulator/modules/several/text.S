/* SPDX-License-Identifier: GPL-2.0 */
	.section .rodata
	.globl several_text
several_text:
	.asciz "text of an assembler file"
