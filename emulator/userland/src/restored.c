// SPDX-License-Identifier: Apache-2.0
/*
 * A restored guest has the time at which it was saved, and the random numbers of every other guest
 * restored from the same snapshot: the host tells it better ones.
 */
#include "restored.h"

#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SEED 32

static int set_clock(const char *told, int *used)
{
	struct timespec now;
	long long seconds;

	if (sscanf(told, "%lld.%9ld:%n", &seconds, &now.tv_nsec, used) != 2)
		return 0;
	now.tv_sec = (time_t)seconds;
	return !clock_settime(CLOCK_REALTIME, &now);
}

/* random(4): what is written to the device is mixed in, but only what is added by the ioctl counts,
 * and only a reseeding has an effect at once. */
static int reseed(const char *hex)
{
	struct {
		struct rand_pool_info info;
		unsigned char bytes[SEED];
	} seed = { .info = { .entropy_count = 8 * SEED, .buf_size = SEED } };
	int fd, done;

	for (int i = 0; i < SEED; i++, hex += 2) {
		unsigned int byte;

		if (sscanf(hex, "%2x", &byte) != 1)
			return 0;
		seed.bytes[i] = (unsigned char)byte;
	}
	fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 0;
	done = !ioctl(fd, RNDADDENTROPY, &seed) && !ioctl(fd, RNDRESEEDCRNG);
	close(fd);
	return done;
}

int restored(const char *told)
{
	int used = 0;

	return set_clock(told, &used) && reseed(told + used);
}
