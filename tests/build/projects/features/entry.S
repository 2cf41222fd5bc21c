/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/linkage.h>

	.text
SYM_FUNC_START(features_entry)
#ifdef CONFIG_ARM64
	mov	w0, #FEATURES_ASM
	ret
#else
	movl	$FEATURES_ASM, %eax
	RET
#endif
SYM_FUNC_END(features_entry)
