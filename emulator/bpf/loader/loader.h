/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the loader ask of each other; main.c has the order. */
#ifndef LOADER_H
#define LOADER_H

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define LONGEST_NAME 256 /* of what we put together ourselves */

/* options.c */
struct words {
	char *word[64];
	size_t count;
};

struct options {
	const char *object, *btf, *interface, *cgroup, *pin;
	struct words set, map, dump, event;
	pid_t pid; /* 0: any */
	bool trace;
};

extern struct options options;
void read_options(int argc, char **argv);
/* Cut the word off at `at`, and return what comes behind; null where there is none. */
char *split(char *word, char at);

/* output.c: lines of JSON, kept until the reader takes them */
void begin(const char *type);
void add_string(const char *name, const char *text);
void add_bytes(const char *name, const void *text, size_t size);
void add_number(const char *name, long long number);
void add_bool(const char *name, bool value);
void add_null(const char *name);
void add_hex(const char *name, const void *bytes, size_t size);
void add_base64(const char *name, const void *bytes, size_t size);
void open_list(const char *name);
void close_list(void);
void open_object(void);
void close_object(void);
/* How long the line is; with this it is cut back to that length. */
size_t line_length(void);
void cut_line(size_t length);
size_t line_room(void);
/* What must not be lost waits for the reader; what may be is dropped then, and counted. */
void end_line(void);
void end_line_or_drop(void);
/* Whether a line of more than `size` bytes, counted as dropped then, is not worth its making. */
bool drops(size_t size);
/* From now on, for so long in all, wait for the reader before anything is dropped. */
void be_patient(int milliseconds);
void write_out(void);
/* Wait until the reader has taken all. */
void drain(void);
bool output_waits(void);
bool output_broken(void);
unsigned long long dropped(void);

/* failure.c */
/* Write an error line, clean up and exit with 1; `number` is an errno. */
__attribute__((noreturn, format(printf, 5, 6))) void
fail(const char *stage, const char *program, const char *section, int number, const char *format,
     ...);
/* A line of log from us. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
const char *errno_name(int number);

/* main.c */
extern int signal_fd;

/* log.c: what libbpf and the verifier say */
void listen_to_libbpf(void);
void give_verifier_room(struct bpf_object *object);
/* The program that libbpf last named as failing, or null; and the verifier's words about it. */
const char *failing_program(void);
bool lacks_btf(void);
void write_verifier_log(const char *program);

/* value.c: text to values, by BTF */
bool parse_value(const struct btf *btf, __u32 type, size_t size, char *text, void *into);

/* variables.c */
void set_variables(struct bpf_object *object);

/* maps.c */
void set_entries(struct bpf_object *object);
void check_dumps(struct bpf_object *object);
void dump_maps(struct bpf_object *object);

/* text.c: values to text, by BTF */
bool add_value(const char *name, const struct btf *btf, __u32 type, const void *data, size_t size);
bool is_text(const void *data, size_t size);

/* attach.c */
void prepare(struct bpf_object *object);
void attach(struct bpf_object *object);
void detach(void);

/* links.c: what is attached, and how it is taken back */
void keep_link(struct bpf_link *link, const char *program);
void keep_fd(int fd);
/* For what outlasts us; the first `fds` of a and b are file descriptors. */
void keep_undo(int (*undo)(int a, int b, int c), int a, int b, int c, int fds);
bool undo_needs(int fd);
void undo_all(void);

/* guard.c: after a SIGKILL another process does what keep_undo() and trace.c remember */
void start_guard(void);
/* Before we exit ourselves, when all is undone. */
void end_guard(void);

/* network.c: what hangs on an interface or a socket; 0 or -errno, and where it went */
int attach_tc(struct bpf_program *program, char *to);
int attach_xdp(struct bpf_program *program, char *to);
int attach_socket(struct bpf_program *program, char *to);

/* probes.c: what hangs on a process, on many functions or on the clock of each CPU */
int attach_uprobe(struct bpf_program *program, char *to);
int attach_multi(struct bpf_program *program, char *to);
int attach_perf_event(struct bpf_program *program, char *to);
void find_android_libraries(void);

/* iterators.c */
int attach_iterator(struct bpf_program *program, char *to);
void read_iterators(void);

/* records.c: ring and perf buffers */
void open_records(struct bpf_object *object);
size_t poll_records(struct pollfd *fds, size_t room);
/* A turn's worth; true when there may be more. */
bool read_records(void);
void close_records(void);

/* trace.c */
void open_trace(void);
int poll_trace(void);
/* The same. */
bool read_trace(void);
void close_trace(void);

#endif
