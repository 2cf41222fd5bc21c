// SPDX-License-Identifier: GPL-2.0
/*
 * Loads a BPF object with libbpf, attaches what is in it, and tells what comes of it: one JSON
 * object a line on stdout, as docs/loader.md has them. Ends with stdin, or at a signal.
 *
 * One thread that waits in poll(2), and buffers of fixed size: what the reader does not take in
 * time is dropped and counted. Whatever is attached hangs on file descriptors where the kernel has
 * such a way, so that it goes with the process, however that ends.
 */
#define _GNU_SOURCE
#include "loader.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK 100 /* milliseconds; for kernels whose trace_pipe does not wake us at once */

#define PATIENCE 5000 /* milliseconds for the reader, at the end */
#define LAST_TURNS 1024

int signal_fd = -1;

static void take_signals(void)
{
	static const int ending[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < COUNT(ending); i++)
		sigaddset(&set, ending[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static struct bpf_object *open_object_file(void)
{
	LIBBPF_OPTS(bpf_object_open_opts, how, .btf_custom_path = options.btf,
		    .pin_root_path = options.pin);
	struct bpf_object *object;

	if (options.btf) {
		struct btf *btf = btf__parse(options.btf, NULL);

		if (!btf)
			fail("btf", NULL, NULL, errno, "%s holds no BTF", options.btf);
		btf__free(btf);
	}
	object = bpf_object__open_file(options.object, &how);
	if (!object)
		fail("open", NULL, NULL, errno, "%s is no BPF object that libbpf can open",
		     options.object);
	return object;
}

static void write_loaded(struct bpf_object *object)
{
	struct bpf_program *program;
	struct bpf_map *map;

	begin("loaded");
	open_list("programs");
	bpf_object__for_each_program(program, object) {
		if (!bpf_program__autoload(program))
			continue;
		open_object();
		add_string("name", bpf_program__name(program));
		add_string("section", bpf_program__section_name(program));
		add_string("type", libbpf_bpf_prog_type_str(bpf_program__type(program)));
		add_number("insns", (long long)bpf_program__insn_cnt(program));
		close_object();
	}
	close_list();
	open_list("maps");
	bpf_object__for_each_map(map, object) {
		open_object();
		add_string("name", bpf_map__name(map));
		add_string("type", libbpf_bpf_map_type_str(bpf_map__type(map)));
		add_number("key_size", bpf_map__key_size(map));
		add_number("value_size", bpf_map__value_size(map));
		add_number("max_entries", bpf_map__max_entries(map));
		close_object();
	}
	close_list();
	end_line();
}

static void load(struct bpf_object *object)
{
	int error = bpf_object__load(object);
	const char *name = failing_program(), *section = NULL;
	struct bpf_program *program;

	if (error) {
		program = name ? bpf_object__find_program_by_name(object, name) : NULL;
		if (program)
			section = bpf_program__section_name(program);
		write_verifier_log(name);
		fail(lacks_btf() ? "btf" : "load", name, section, -error, "%s was not loaded",
		     name ? name : "the object");
	}
	write_loaded(object);
}

/* Returns why it ended. */
static const char *run(void)
{
	struct pollfd fds[80];
	char unread[4096];

	for (;;) {
		size_t count = 4;

		fds[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
		/* Without events it still tells that the reader is gone. */
		fds[2] = (struct pollfd){ .fd = STDOUT_FILENO, .events = output_waits() ? POLLOUT : 0 };
		fds[3] = (struct pollfd){ .fd = poll_trace(), .events = POLLIN };
		count += poll_records(fds + count, COUNT(fds) - count);
		if (poll(fds, count, TICK) < 0 && errno != EINTR)
			fail("run", NULL, NULL, errno, "poll failed");
		if (fds[1].revents) {
			struct signalfd_siginfo which;

			if (read(signal_fd, &which, sizeof(which)) > 0)
				return "signal";
		}
		if (fds[0].revents && read(STDIN_FILENO, unread, sizeof(unread)) <= 0)
			return "stdin";
		if (fds[2].revents & POLLOUT)
			write_out();
		if (fds[2].revents & (POLLERR | POLLHUP | POLLNVAL) || output_broken())
			return "exit";
		read_trace();
		read_records();
	}
}

/* What was on its way when it ended; others may go on writing to the trace. */
static void read_rest(void)
{
	int turns = LAST_TURNS;

	be_patient(PATIENCE);
	while (turns-- && read_trace())
		continue;
	turns = LAST_TURNS;
	while (turns-- && read_records())
		continue;
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	const char *reason;

	take_signals();
	read_options(argc, argv);
	begin("hello");
	add_string("libbpf", libbpf_version_string() + 1); /* it begins with a v */
	add_number("pid", getpid());
	end_line();
	listen_to_libbpf();
	object = open_object_file();
	prepare(object);
	set_variables(object);
	check_dumps(object);
	give_verifier_room(object);
	load(object);
	set_entries(object);
	open_records(object);
	if (options.trace)
		open_trace();
	attach(object);
	start_guard();
	begin("ready");
	end_line();
	read_iterators();
	reason = run();
	detach();
	read_rest();
	close_trace();
	end_guard();
	dump_maps(object);
	begin("end");
	add_string("reason", reason);
	add_number("dropped", (long long)dropped());
	end_line();
	close_records();
	bpf_object__close(object);
	drain();
	return 0;
}
