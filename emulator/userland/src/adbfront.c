// SPDX-License-Identifier: Apache-2.0
/*
 * What init and adbd share on Android, for an adbd that was built without it.
 *
 * Debian's adbd has no "root:", "unroot:", "reboot:" and "remount:" services and closes such a
 * stream. This program listens where the host connects, hands every packet to and from adbd, and
 * answers those four itself in adbd's words (packages/modules/adb/daemon/restart_service.cpp and
 * services.cpp), and one of our own that tells a restored guest the time. It also keeps adbd
 * running, see adbd.c.
 *
 * The protocol is packages/modules/adb/docs/dev/protocol.md: a header of six little-endian words
 * (command, arg0, arg1, length, checksum, command ^ ~0) and a payload. Packets are taken whole in
 * both directions, so that an answer of ours never lands inside one of adbd's.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adbd.h"
#include "restored.h"

#define PORT 5555
#define MAX_PAYLOAD (1024 * 1024) /* MAX_PAYLOAD of packages/modules/adb/adb.h */
#define MAX_CLIENTS 8
#define MAX_ANSWER 512
#define OUR_IDS 0x7f000000u /* adbd counts its ids up from 1 */
#define RETRY_MS 10

#define A_OPEN 0x4e45504fu
#define A_OKAY 0x59414b4fu
#define A_CLSE 0x45534c43u
#define A_WRTE 0x45545257u
#define A_CNXN 0x4e584e43u

#ifdef __aarch64__
#define DEVICE "droidheaders_arm64"
#else
#define DEVICE "droidheaders_x86_64"
#endif

struct header {
	uint32_t command, arg0, arg1, length, checksum, magic;
};

/* One packet on its way: filled from one socket, then drained into the other. */
struct packet {
	union {
		struct header header;
		unsigned char bytes[sizeof(struct header) + MAX_PAYLOAD];
	};
	size_t have, sent;
};

enum action { NOTHING, RESTART_AS_ROOT, RESTART_AS_SHELL, REBOOT, POWER_OFF };

struct client {
	int host, adbd; /* sockets; adbd is -1 until it accepts */
	struct packet to_adbd, to_host;
	unsigned char answer[MAX_ANSWER]; /* ours for the host, sent between two packets */
	size_t answer_length, answer_sent;
	uint32_t peer_id, our_id; /* the one stream we answer ourselves; our_id 0: none */
	enum action action;       /* to be taken once the host has closed that stream */
};

static struct client *clients[MAX_CLIENTS];
static int spare = -1; /* a connection to adbd for the next client, which then need not wait for it */
static const char *persona;
static enum action due; /* taken by the main loop, because it may drop every client */

static size_t packet_size(const struct packet *packet)
{
	if (packet->have < sizeof(struct header))
		return sizeof(struct header);
	return sizeof(struct header) + packet->header.length;
}

static int is_whole(const struct packet *packet)
{
	return packet->have >= sizeof(struct header) && packet->have == packet_size(packet);
}

static int is_sound(const struct header *header)
{
	return header->magic == ~header->command && header->length <= MAX_PAYLOAD;
}

/* Read what there is of the next packet. Returns -1 when the connection is of no more use. */
static int fill(int fd, struct packet *packet)
{
	while (!is_whole(packet)) {
		ssize_t got = read(fd, packet->bytes + packet->have, packet_size(packet) - packet->have);

		if (got == 0)
			return -1;
		if (got < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		packet->have += (size_t)got;
		if (packet->have == sizeof(struct header) && !is_sound(&packet->header))
			return -1;
	}
	return 0;
}

static int drain(int fd, const unsigned char *bytes, size_t length, size_t *sent)
{
	while (*sent < length) {
		ssize_t put = send(fd, bytes + *sent, length - *sent, MSG_NOSIGNAL);

		if (put < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		*sent += (size_t)put;
	}
	return 0;
}

static int drain_packet(int fd, struct packet *packet)
{
	if (drain(fd, packet->bytes, packet_size(packet), &packet->sent))
		return -1;
	if (packet->sent == packet_size(packet))
		packet->have = packet->sent = 0;
	return 0;
}

static uint32_t sum(const char *text)
{
	uint32_t total = 0;

	while (*text)
		total += (unsigned char)*text++;
	return total;
}

static void answer(struct client *client, uint32_t command, const char *text)
{
	struct header header = { .command = command, .arg0 = client->our_id, .arg1 = client->peer_id };
	size_t room = sizeof(client->answer) - client->answer_length;

	header.length = (uint32_t)strlen(text);
	header.checksum = sum(text);
	header.magic = ~command;
	if (sizeof(header) + header.length > room)
		return; /* only for a host that opens one stream after another and never reads */
	memcpy(client->answer + client->answer_length, &header, sizeof(header));
	memcpy(client->answer + client->answer_length + sizeof(header), text, header.length);
	client->answer_length += sizeof(header) + header.length;
}

static enum action choose(const char *service, const char **text)
{
	int debuggable = !strcmp(persona, "userdebug") || !strcmp(persona, "root");

	*text = "";
	if (!strcmp(service, "root:")) {
		if (adbd_is_root)
			*text = "adbd is already running as root\n";
		else if (!debuggable)
			*text = "adbd cannot run as root in production builds\n";
		else
			*text = "restarting adbd as root\n";
		return debuggable && !adbd_is_root ? RESTART_AS_ROOT : NOTHING;
	}
	if (!strcmp(service, "unroot:")) {
		*text = adbd_is_root ? "restarting adbd as non root\n" : "adbd not running as root\n";
		return adbd_is_root ? RESTART_AS_SHELL : NOTHING;
	}
	if (!strcmp(service, "remount:")) {
		*text = adbd_is_root ? "remount succeeded\n"
				     : "Not running as root. Try \"adb root\" first.\n";
		return NOTHING;
	}
	if (!strncmp(service, RESTORED, strlen(RESTORED))) {
		*text = restored(service + strlen(RESTORED)) ? "ok\n" : "failed\n";
		return NOTHING;
	}
	return strstr(service, "shutdown") ? POWER_OFF : REBOOT;
}

static void open_ours(struct client *client, uint32_t peer_id, const char *service)
{
	static uint32_t last_id = OUR_IDS;
	const char *text;

	client->our_id = ++last_id;
	client->peer_id = peer_id;
	client->action = choose(service, &text);
	answer(client, A_OKAY, "");
	if (*text)
		answer(client, A_WRTE, text);
	else
		answer(client, A_CLSE, "");
}

/* Deal with a packet for one of our streams. The action waits for the host's A_CLSE: closing the
 * connection with that still unread would reset it, and the host would lose our text. */
static void continue_ours(struct client *client, const struct header *header)
{
	if (header->arg1 != client->our_id)
		return; /* late news of a stream already closed */
	if (header->command == A_OKAY) {
		answer(client, A_CLSE, "");
	} else if (header->command == A_CLSE) {
		due = client->action;
		client->our_id = 0;
	}
}

static int is_ours(const char *service)
{
	return !strcmp(service, "root:") || !strcmp(service, "unroot:") ||
	       !strcmp(service, "remount:") || !strncmp(service, "reboot:", strlen("reboot:")) ||
	       !strncmp(service, RESTORED, strlen(RESTORED));
}

/* Answer the whole packet from the host if it is for us, and drop it then. */
static void intercept(struct client *client)
{
	struct packet *packet = &client->to_adbd;
	const struct header *header = &packet->header;
	char service[160] = "";

	if (header->command == A_OPEN) {
		if (!header->length || header->length >= sizeof(service) || client->our_id)
			return;
		memcpy(service, packet->bytes + sizeof(*header), header->length);
		if (!is_ours(service))
			return;
		open_ours(client, header->arg0, service);
	} else if (header->arg1 > OUR_IDS && (header->command == A_OKAY || header->command == A_WRTE ||
					      header->command == A_CLSE)) {
		continue_ours(client, header);
	} else {
		return;
	}
	packet->have = 0;
}

/*
 * Name the product in adbd's own CNXN, for `adb devices -l`: it has no properties to ask. Features
 * come after that, last of them delayed_ack; it would put a payload into every A_OKAY, ours too.
 */
static void introduce(struct packet *packet)
{
	static const char blank[] = "device::ro.product.name=;ro.product.model=;"
				    "ro.product.device=;";
	static const char named[] = "device::ro.product.name=" DEVICE ";ro.product.model="
				    "droidheaders guest;ro.product.device=" DEVICE ";";
	struct header *header = &packet->header;
	char *payload = (char *)packet->bytes + sizeof(*header), *late;
	char features[1024];

	if (header->command != A_CNXN || header->length >= sizeof(features) ||
	    header->length < strlen(blank) || memcmp(payload, blank, strlen(blank)))
		return;
	payload[header->length] = '\0';
	snprintf(features, sizeof(features), "%s", payload + strlen(blank));
	late = strstr(features, ",delayed_ack");
	if (late)
		*late = '\0';
	header->length = (uint32_t)sprintf(payload, "%s%s", named, features);
	header->checksum = sum(payload);
	packet->have = packet_size(packet);
}

static void drop(struct client **slot)
{
	struct client *client = *slot;

	if (client->our_id && client->action)
		due = client->action;
	close(client->host);
	if (client->adbd >= 0)
		close(client->adbd);
	free(client);
	*slot = NULL;
}

static void drop_all(void)
{
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (clients[i])
			drop(&clients[i]);
}

static void drop_spare(void)
{
	if (spare >= 0)
		close(spare);
	spare = -1;
}

static void act(void)
{
	enum action action = due;

	due = NOTHING;
	switch (action) {
	case NOTHING:
		break;
	case RESTART_AS_ROOT:
	case RESTART_AS_SHELL:
		drop_all();
		drop_spare();
		adbd_restart(action == RESTART_AS_ROOT);
		due = NOTHING; /* the clients just dropped may have asked for the same */
		break;
	case REBOOT:
	case POWER_OFF:
		sync();
		reboot(action == REBOOT ? RB_AUTOBOOT : RB_POWER_OFF);
		break;
	}
}

static void accept_client(int listener)
{
	int host = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int one = 1;

	if (host < 0)
		return;
	setsockopt(host, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (int i = 0; i < MAX_CLIENTS; i++) {
		if (clients[i])
			continue;
		clients[i] = calloc(1, sizeof(struct client));
		if (!clients[i])
			break;
		clients[i]->host = host;
		clients[i]->adbd = -1;
		return;
	}
	close(host);
}

/* Returns a socket, or -1: adbd may still be starting, then the caller tries again soon. */
static int connect_adbd(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(ADBD_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    fcntl(fd, F_SETFL, O_NONBLOCK)) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int take_connection(void)
{
	int fd = spare;

	spare = -1;
	return fd < 0 ? connect_adbd() : fd;
}

static int has_clients(void)
{
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (clients[i])
			return 1;
	return 0;
}

/* Move what can be moved. Returns -1 when the client is to be dropped. */
static int serve(struct client *client)
{
	if (!is_whole(&client->to_adbd)) {
		if (fill(client->host, &client->to_adbd))
			return -1;
		if (is_whole(&client->to_adbd))
			intercept(client);
	}
	if (is_whole(&client->to_adbd) && drain_packet(client->adbd, &client->to_adbd))
		return -1;
	if (!is_whole(&client->to_host)) {
		if (fill(client->adbd, &client->to_host))
			return -1;
		if (is_whole(&client->to_host))
			introduce(&client->to_host);
	}
	if (!client->to_host.sent && client->answer_length) {
		if (drain(client->host, client->answer, client->answer_length, &client->answer_sent))
			return -1;
		if (client->answer_sent < client->answer_length)
			return 0;
		client->answer_length = client->answer_sent = 0;
	}
	return is_whole(&client->to_host) ? drain_packet(client->host, &client->to_host) : 0;
}

static int listen_for_hosts(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, MAX_CLIENTS))
		fail("cannot listen for adb");
	return fd;
}

static int watch_children(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		fail("cannot watch for signals");
	return fd;
}

/* Fill in what to wait for: the spare, and two entries a client. Returns the timeout for poll. */
static int prepare(struct pollfd *fds)
{
	int timeout = -1;

	if (spare < 0 && !has_clients()) {
		spare = connect_adbd();
		if (spare < 0)
			timeout = RETRY_MS;
	}
	*fds++ = (struct pollfd){ .fd = spare, .events = POLLIN };
	for (int i = 0; i < MAX_CLIENTS; i++, fds += 2) {
		struct client *client = clients[i];

		fds[0] = fds[1] = (struct pollfd){ .fd = -1 };
		if (!client)
			continue;
		if (client->adbd < 0)
			client->adbd = take_connection();
		if (client->adbd < 0) {
			timeout = RETRY_MS;
			continue;
		}
		fds[0].fd = client->host;
		fds[0].events = is_whole(&client->to_adbd) ? 0 : POLLIN;
		if (client->answer_length || is_whole(&client->to_host))
			fds[0].events |= POLLOUT;
		fds[1].fd = client->adbd;
		fds[1].events = is_whole(&client->to_host) ? 0 : POLLIN;
		if (is_whole(&client->to_adbd))
			fds[1].events |= POLLOUT;
	}
	return timeout;
}

/* Standard input ends when init has brought up the network; see start_front() there. */
static void wait_for_network(void)
{
	char none;

	while (read(STDIN_FILENO, &none, sizeof(none)) > 0)
		continue;
}

int main(int argc, char **argv)
{
	struct pollfd fds[3 + 2 * MAX_CLIENTS];

	if (argc != 2)
		return 2;
	persona = argv[1];
	fds[0] = (struct pollfd){ .fd = listen_for_hosts(), .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = watch_children(), .events = POLLIN };
	adbd_start(persona);
	wait_for_network();
	printf("droidheaders: adbd\n");
	fflush(stdout);
	for (;;) {
		if (poll(fds, 3 + 2 * MAX_CLIENTS, prepare(fds + 2)) < 0 && errno != EINTR)
			fail("cannot wait for connections");
		for (int i = 0; i < MAX_CLIENTS; i++) {
			int ready = fds[3 + 2 * i].revents | fds[4 + 2 * i].revents;

			if (ready && serve(clients[i]))
				drop(&clients[i]);
		}
		if (fds[2].revents) /* adbd says nothing before it is asked: it has ended */
			drop_spare();
		act();
		if (fds[1].revents)
			adbd_reap(fds[1].fd);
		if (fds[0].revents)
			accept_client(fds[0].fd);
	}
}
