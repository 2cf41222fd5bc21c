/* SPDX-License-Identifier: Apache-2.0 */
/* What linux/if.h takes from the C library, of which there is none for BPF: socket(7). */
#ifndef DROIDHEADERS_SYS_SOCKET_H
#define DROIDHEADERS_SYS_SOCKET_H
struct sockaddr {
	unsigned short sa_family;
	char sa_data[14];
};
#endif
