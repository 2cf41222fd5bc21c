// SPDX-License-Identifier: GPL-2.0
#include <features.h>

int features_second(void)
{
	return SECOND_ONLY;
}
