// SPDX-License-Identifier: Apache-2.0
/* What a guest does once it was restored from a snapshot. */
#ifndef RESTORED_H
#define RESTORED_H

#define RESTORED "droidheaders-restored:"

/* Take "<seconds>.<nanoseconds>:<64 hex digits>": the time, and what no other guest restored from
 * the same snapshot has. Returns whether both were taken. */
int restored(const char *told);

#endif
