/* SPDX-License-Identifier: GPL-2.0 */
int features_second(void);
int features_third(void);
int features_entry(void);
int features_proc(void);
