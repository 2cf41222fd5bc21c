// SPDX-License-Identifier: GPL-2.0
/* What hangs on an interface, or on a socket. */
#define _GNU_SOURCE
#include "loader.h"
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* include/uapi/linux/bpf.h since 6.6 (e420bed02507) */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47 };

static int detach_tc(int interface, int point, int handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = interface,
		    .attach_point = (enum bpf_tc_attach_point)point);
	LIBBPF_OPTS(bpf_tc_opts, how, .handle = (__u32)handle, .priority = 1);

	return bpf_tc_detach(&hook, &how);
}

/* The qdisc was not there before us. */
static int destroy_hook(int interface, int unused, int unused_too)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = interface,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	(void)unused, (void)unused_too;
	return bpf_tc_hook_destroy(&hook);
}

/* A filter outlives us, unlike a link of tcx: for kernels before 6.6. */
static int attach_filter(int program, int interface, bool egress)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = interface, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, how, .prog_fd = program, .priority = 1);
	int error = bpf_tc_hook_create(&hook);

	if (error && error != -EEXIST)
		return error;
	if (!error)
		keep_undo(destroy_hook, interface, 0, 0, 0);
	hook.attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS;
	error = bpf_tc_attach(&hook, &how);
	if (!error)
		keep_undo(detach_tc, interface, (int)hook.attach_point, (int)how.handle, 0);
	return error;
}

static int attach_tcx(int program, int interface, bool egress)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.link_create.prog_fd = (__u32)program;
	attributes.link_create.target_ifindex = (__u32)interface;
	attributes.link_create.attach_type = egress ? TCX_EGRESS : TCX_INGRESS;
	return (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attributes, sizeof(attributes));
}

static int interface_number(char *to, const char *where)
{
	snprintf(to, LONGEST_NAME, "%s%s", options.interface, where);
	return (int)if_nametoindex(options.interface);
}

int attach_tc(struct bpf_program *program, char *to)
{
	const char *section = bpf_program__section_name(program);
	bool egress = strstr(section, "egress");
	int interface = interface_number(to, egress ? " egress" : " ingress"), link;

	if (!interface)
		return -errno;
	link = attach_tcx(bpf_program__fd(program), interface, egress);
	if (link < 0)
		return attach_filter(bpf_program__fd(program), interface, egress);
	keep_fd(link);
	return 0;
}

static int detach_xdp(int interface, int flags, int unused)
{
	(void)unused;
	return bpf_xdp_detach(interface, (__u32)flags, NULL);
}

/* By the driver, else by the kernel itself; before 5.9 without a link, which outlives us. */
int attach_xdp(struct bpf_program *program, char *to)
{
	LIBBPF_OPTS(bpf_link_create_opts, generic, .flags = XDP_FLAGS_SKB_MODE);
	int interface = interface_number(to, ""), fd = bpf_program__fd(program);
	struct bpf_link *link;
	int error;

	if (!interface)
		return -errno;
	link = bpf_program__attach_xdp(program, interface);
	if (link) {
		keep_link(link, bpf_program__name(program));
		return 0;
	}
	if (errno == EBUSY)
		return -EBUSY;
	error = bpf_link_create(fd, interface, BPF_XDP, &generic);
	if (error >= 0) {
		keep_fd(error);
		return 0;
	}
	if (errno != EINVAL)
		return -errno;
	error = bpf_xdp_attach(interface, fd, XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
	if (!error)
		keep_undo(detach_xdp, interface, 0, 0, 0);
	return error;
}

/* To a socket that sees each packet of the interface, or of all; nobody reads from it, and once
 * its buffer is full the kernel still asks the filter: packet_rcv() in net/packet/af_packet.c. */
int attach_socket(struct bpf_program *program, char *to)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int smallest = 0, filter = bpf_program__fd(program), fd;

	snprintf(to, LONGEST_NAME, "packets of %s",
		 options.interface ? options.interface : "every interface");
	if (options.interface) {
		address.sll_ifindex = (int)if_nametoindex(options.interface);
		if (!address.sll_ifindex)
			return -errno;
	}
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof(smallest)) ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &filter, sizeof(filter)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		int error = -errno;

		close(fd);
		return error;
	}
	keep_fd(fd);
	return 0;
}
