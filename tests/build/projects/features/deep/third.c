// SPDX-License-Identifier: GPL-2.0
#include <features.h>
#include <linux/jiffies.h>

int features_third(void)
{
	return jiffies_to_msecs(HZ) == 1000;
}
