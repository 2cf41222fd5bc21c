// SPDX-License-Identifier: Apache-2.0
/* The process behind the front. */
#ifndef ADBD_H
#define ADBD_H

#define ADBD_PORT 5556

extern int adbd_is_root;

/* Start adbd as `persona` has it at boot. */
void adbd_start(const char *persona);

/* End adbd; the next one runs as root or as shell. */
void adbd_restart(int as_root);

/* Read the signalfd `signals`, and start adbd again if it was adbd that ended. */
void adbd_reap(int signals);

/* Tell the host why, with errno's text if it is set, and end. */
_Noreturn void fail(const char *why);

#endif
