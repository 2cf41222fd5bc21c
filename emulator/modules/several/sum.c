// SPDX-License-Identifier: GPL-2.0
#include <several.h>

int several_sum(int a, int b)
{
	return a + b;
}
