// SPDX-License-Identifier: GPL-2.0
/*
 * Loads the smallest program of each BPF type, attaches it where that can be undone, and takes it
 * back. One JSON object a line: {"type":"kprobe","load":0,"attach":0,"log":""}
 *
 * load, attach: 0 or an errno; attach is null where none was tried, since it would have touched
 * what others use, or where the program was not loaded. log: the verifier's last words, or ours.
 *
 * Static and without a C library, so that any compiler for the architecture will do. Whatever is
 * attached hangs on a file descriptor and goes with the process; what does not (a probe in tracefs,
 * a cgroup) is made and removed while signals wait. Numbers are the kernel's ABI, from
 * include/uapi/linux/{bpf,btf,perf_event}.h and arch's unistd.h.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define SECONDS 20 /* after which we end; all of it takes less than two when emulated */
#define NOT_TRIED (-1)

enum { EPERM = 1, ENOENT = 2, EINVAL = 22, EOPNOTSUPP = 95 };

#if defined(__x86_64__)
enum {
	SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_rt_sigprocmask = 14, SYS_ioctl = 16,
	SYS_setitimer = 38, SYS_getpid = 39, SYS_socketpair = 53, SYS_setsockopt = 54,
	SYS_uname = 63, SYS_getsid = 124, SYS_exit_group = 231, SYS_openat = 257,
	SYS_mkdirat = 258, SYS_unlinkat = 263, SYS_readlinkat = 267, SYS_perf_event_open = 298,
	SYS_prlimit64 = 302, SYS_bpf = 321,
};

__asm__(".globl _start\n_start: xor %ebp, %ebp\n and $-16, %rsp\n call run\n");

static long syscall5(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
enum {
	SYS_ioctl = 29, SYS_mkdirat = 34, SYS_unlinkat = 35, SYS_openat = 56, SYS_close = 57,
	SYS_read = 63, SYS_write = 64, SYS_readlinkat = 78, SYS_exit_group = 94,
	SYS_setitimer = 103, SYS_rt_sigprocmask = 135, SYS_getsid = 156, SYS_uname = 160,
	SYS_getpid = 172, SYS_socketpair = 199, SYS_setsockopt = 208, SYS_perf_event_open = 241,
	SYS_prlimit64 = 261, SYS_bpf = 280,
};

__asm__(".globl _start\n_start: mov x29, #0\n mov x30, #0\n bl run\n");

static long syscall5(long number, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory");
	return x0;
}
#else
#error "no system calls known for this architecture"
#endif

#define syscall(number, a, b, c, d, e) \
	syscall5(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

/* Compilers call this one for initialisers; the barrier keeps them from calling it in itself. */
void *memset(void *start, int byte, u64 size)
{
	for (u64 i = 0; i < size; i++) {
		((u8 *)start)[i] = (u8)byte;
		__asm__ volatile("" ::: "memory");
	}
	return start;
}

static int equal(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		continue;
	return *a == *b;
}

/* Text put together in a buffer; what does not fit is cut off. */
struct text {
	char bytes[4096];
	u32 length;
};

static void add_byte(struct text *text, char byte)
{
	if (text->length < sizeof(text->bytes) - 1)
		text->bytes[text->length++] = byte;
	text->bytes[text->length] = '\0';
}

static void add(struct text *text, const char *more)
{
	while (*more)
		add_byte(text, *more++);
}

static void add_number(struct text *text, u64 number, u32 base)
{
	if (number >= base)
		add_number(text, number / base, base);
	add_byte(text, "0123456789abcdef"[number % base]);
}

static void add_escaped(struct text *text, const char *more)
{
	for (; *more; more++) {
		if (*more == '"' || *more == '\\')
			add_byte(text, '\\');
		if (*more == '\n')
			add(text, "\\n");
		else
			add_byte(text, *more >= ' ' && *more <= '~' ? *more : '?');
	}
}

/* Files */

enum { AT_FDCWD = -100, AT_REMOVEDIR = 0x200, O_RDONLY = 0, O_WRONLY = 1, O_APPEND = 02000 };

static long open_at(const char *path, int flags)
{
	return syscall(SYS_openat, AT_FDCWD, path, flags, 0, 0);
}

static void close(long fd)
{
	if (fd >= 0)
		syscall(SYS_close, fd, 0, 0, 0, 0);
}

/* The number that a file begins with, or -errno. */
static long number_in(const char *path)
{
	char text[32] = { 0 };
	long fd = open_at(path, O_RDONLY), got, number = 0;

	if (fd < 0)
		return fd;
	got = syscall(SYS_read, fd, text, sizeof(text) - 1, 0, 0);
	close(fd);
	if (got <= 0)
		return got ? got : -EINVAL;
	for (char *digit = text; *digit >= '0' && *digit <= '9'; digit++)
		number = number * 10 + (*digit - '0');
	return number;
}

static long pid(void)
{
	return syscall(SYS_getpid, 0, 0, 0, 0, 0);
}

/* Hold signals back, or let them come: what a process leaves behind is not to be left by half. */
static void hold_signals(int on)
{
	u64 all = on ? ~0UL : 0;

	syscall(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, 0, sizeof(all), 0);
}

/* Programs */

enum { BPF_PROG_LOAD = 5, BPF_PROG_ATTACH = 8, BPF_PROG_DETACH, BPF_RAW_TRACEPOINT_OPEN = 17,
       BPF_LINK_CREATE = 28 };
enum { SOCKET_FILTER = 1, KPROBE, SCHED_CLS, TRACEPOINT = 5, XDP, PERF_EVENT, CGROUP_SKB,
       RAW_TRACEPOINT = 17, TRACING = 26, STRUCT_OPS, LSM = 29 };
enum { BPF_CGROUP_INET_INGRESS = 0, BPF_TRACE_FENTRY = 24, BPF_LSM_MAC = 27, BPF_TRACE_ITER };

struct instruction {
	u8 code, registers;
	short offset;
	int immediate;
};

struct load {
	u32 type, count;
	const struct instruction *instructions;
	const char *license;
	u32 log_level, log_size;
	char *log;
	u32 kernel_version, flags;
	char name[16];
	u32 interface, attach_type;
	u32 unused[9]; /* BTF of the program's own */
	u32 attach_btf_id, attach_to;
};

static char verifier_log[64 << 10];
static struct text note; /* of the type that is being tried */

static long bpf(int command, void *attributes, u32 size)
{
	return syscall(SYS_bpf, command, attributes, size, 0, 0);
}

/* Before 5.0 a kprobe program had to name the kernel it was for (6c4fc209fcf9). Stable releases
 * beyond 255 are 255 there. */
static u32 kernel_version(void)
{
	char names[6][65] = { { 0 } };
	u32 parts[3] = { 0 }, part = 0;

	syscall(SYS_uname, names, 0, 0, 0, 0);
	for (char *at = names[2]; *at && part < 3; at++) {
		if (*at >= '0' && *at <= '9')
			parts[part] = parts[part] * 10 + (u32)(*at - '0');
		else if (*at == '.')
			part++;
		else
			break;
	}
	return parts[0] << 16 | parts[1] << 8 | (parts[2] > 255 ? 255 : parts[2]);
}

/* A file descriptor, or -errno with the end of the verifier's log in the note. */
static long load(struct load *program)
{
	long fd, again;
	u32 end = 0;

	verifier_log[0] = '\0'; /* the kernel writes none when it refuses before it looks */
	program->license = "GPL";
	program->kernel_version = kernel_version();
	fd = bpf(BPF_PROG_LOAD, program, sizeof(*program));
	if (fd >= 0)
		return fd;
	program->log_level = 1;
	program->log_size = sizeof(verifier_log);
	program->log = verifier_log;
	again = bpf(BPF_PROG_LOAD, program, sizeof(*program));
	close(again);
	while (verifier_log[end] && end < sizeof(verifier_log) - 1)
		end++;
	add(&note, verifier_log + (end > 400 ? end - 400 : 0));
	return fd;
}

/* Perf events, which kprobes, uprobes and tracepoints are attached to */

enum { PERF_TYPE_SOFTWARE = 1, PERF_TYPE_TRACEPOINT = 2, PERF_COUNT_SW_CPU_CLOCK = 0,
       PERF_FLAG_FD_CLOEXEC = 8, PERF_EVENT_IOC_SET_BPF = 0x40042408 };

struct perf_event {
	u32 type, size;
	u64 config, sample_period, sample_type, read_format, flags;
	u32 wakeup, breakpoint;
	u64 config1, config2;
};

/* Open the event on CPU 0, or for ourselves; give it the program; take both back. */
static int attach_event(struct perf_event *event, int only_ours, long program)
{
	long fd, result;

	event->size = sizeof(*event);
	event->sample_period = 1000000;
	fd = syscall(SYS_perf_event_open, event, only_ours ? 0 : -1, only_ours ? -1 : 0, -1,
		     PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return (int)-fd;
	result = syscall(SYS_ioctl, fd, PERF_EVENT_IOC_SET_BPF, program, 0, 0);
	close(fd);
	return (int)-result;
}

static const char *tracefs(void)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	long fd = open_at("/sys/kernel/tracing/events", O_RDONLY);

	close(fd);
	return places[fd == -ENOENT];
}

static int attach_tracepoint_of(const char *event, long program)
{
	struct perf_event tracepoint = { .type = PERF_TYPE_TRACEPOINT };
	struct text path = { .length = 0 };
	long id;

	add(&path, tracefs());
	add(&path, "/events/");
	add(&path, event);
	add(&path, "/id");
	id = number_in(path.bytes);
	if (id < 0)
		return (int)-id;
	tracepoint.config = (u64)id;
	return attach_event(&tracepoint, 0, program);
}

/* Colder than most, and there since 2.6. */
static int attach_tracepoint(long program)
{
	return attach_tracepoint_of("sched/sched_process_exit", program);
}

/* Append a line to the file of tracefs that defines probes. Truncating it would remove all. */
static long define(const char *file, const struct text *line)
{
	struct text path = { .length = 0 };
	long fd, result;

	add(&path, tracefs());
	add(&path, file);
	fd = open_at(path.bytes, O_WRONLY | O_APPEND);
	if (fd < 0)
		return fd;
	result = syscall(SYS_write, fd, line->bytes, line->length, 0, 0);
	close(fd);
	return result;
}

/* Through tracefs, as before 4.17: a probe with a name of its own. */
static int attach_defined(const char *file, const char *kind, const struct text *where,
			  long program)
{
	struct text name = { .length = 0 }, line = { .length = 0 }, removal = { .length = 0 };
	long result;

	add(&name, "droidheaders/p");
	add_number(&name, (u64)pid(), 10);
	add(&line, kind);
	add(&line, name.bytes);
	add(&line, " ");
	add(&line, where->bytes);
	add(&removal, "-:");
	add(&removal, name.bytes);
	hold_signals(1);
	result = define(file, &line);
	if (result >= 0) {
		result = -attach_tracepoint_of(name.bytes, program);
		define(file, &removal);
	}
	hold_signals(0);
	return (int)-result;
}

/* Exported since 2.6 and called when a directory is removed. */
#define FUNCTION "vfs_rmdir"

static int attach_function(int returning, long program)
{
	long type = number_in("/sys/bus/event_source/devices/kprobe/type");
	/* PERF_PROBE_CONFIG_IS_RETPROBE (kernel/events/core.c) */
	struct perf_event probe = { .type = (u32)type, .config = (u64)returning };
	struct text where = { .length = 0 };

	if (type >= 0) {
		probe.config1 = (u64)FUNCTION;
		return attach_event(&probe, 0, program);
	}
	add(&where, FUNCTION);
	return attach_defined("/kprobe_events", returning ? "r:" : "p:", &where, program);
}

static int attach_kprobe(long program)
{
	return attach_function(0, program);
}

static int attach_kretprobe(long program)
{
	return attach_function(1, program);
}

/* What the uprobe is put on: nobody calls it. */
__attribute__((noinline, used)) static void probed(void)
{
	__asm__ volatile("");
}

struct elf_header {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, segments;
	u64 sections;
	u32 flags;
	u16 size, segment_size, segment_count;
};

struct segment {
	u32 type, flags;
	u64 offset, address, physical, file_size;
};

extern const struct elf_header __ehdr_start; /* by the linker */

/* Where in our file an address comes from, or 0. */
static u64 file_offset(u64 address)
{
	const u8 *at = (const u8 *)&__ehdr_start + __ehdr_start.segments;

	for (u32 i = 0; i < __ehdr_start.segment_count; i++, at += __ehdr_start.segment_size) {
		const struct segment *segment = (const struct segment *)at;

		if (segment->type == 1 /* PT_LOAD */ && address >= segment->address &&
		    address - segment->address < segment->file_size)
			return address - segment->address + segment->offset;
	}
	return 0;
}

static int attach_uprobe(long program)
{
	long type = number_in("/sys/bus/event_source/devices/uprobe/type"), length;
	struct perf_event probe = { .type = (u32)type };
	struct text where = { .length = 0 };
	u64 offset = file_offset((u64)probed);

	length = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", where.bytes, 1024, 0);
	if (length < 0)
		return (int)-length;
	where.length = (u32)length;
	if (type >= 0) {
		probe.config1 = (u64)where.bytes;
		probe.config2 = offset;
		return attach_event(&probe, 0, program);
	}
	add(&where, ":0x");
	add_number(&where, offset, 16);
	return attach_defined("/uprobe_events", "p:", &where, program);
}

static int attach_perf_event(long program)
{
	struct perf_event clock = { .type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_CPU_CLOCK };

	return attach_event(&clock, 1, program);
}

/* The rest */

/* Also attaches what names its target itself, when `name` is null: fentry and lsm. */
static long open_raw_tracepoint(const char *name, long program)
{
	struct {
		const char *name;
		u32 program, unused;
	} attributes = { .name = name, .program = (u32)program };

	return bpf(BPF_RAW_TRACEPOINT_OPEN, &attributes, sizeof(attributes));
}

static int attach_raw_tp(long program)
{
	long fd = open_raw_tracepoint("sched_process_exit", program);

	close(fd);
	return fd < 0 ? (int)-fd : 0;
}

static int attach_fentry(long program)
{
	long fd = open_raw_tracepoint(0, program);

	close(fd);
	return fd < 0 ? (int)-fd : 0;
}

#define ANSWER 76 /* ENOTUNIQ, which getsid(2) gives for no reason of its own */

/* A kernel whose lsm= lacks bpf attaches the program as well, and never calls it. */
static int attach_lsm(long program)
{
	long fd = open_raw_tracepoint(0, program), answer;

	if (fd < 0)
		return (int)-fd;
	answer = syscall(SYS_getsid, pid(), 0, 0, 0, 0);
	close(fd);
	if (answer == -ANSWER)
		return 0;
	add(&note, "attached and not called: bpf is not among the active LSMs");
	return EOPNOTSUPP;
}

static int attach_iter(long program)
{
	struct {
		u32 program, target, type, flags;
	} attributes = { .program = (u32)program, .type = BPF_TRACE_ITER };
	long fd = bpf(BPF_LINK_CREATE, &attributes, sizeof(attributes));

	close(fd);
	return fd < 0 ? (int)-fd : 0;
}

static int attach_socket_filter(long program)
{
	int ends[2], value = (int)program;
	long result = syscall(SYS_socketpair, 1 /* AF_UNIX */, 2 /* SOCK_DGRAM */, 0, ends, 0);

	if (result < 0)
		return (int)-result;
	result = syscall(SYS_setsockopt, ends[0], 1 /* SOL_SOCKET */, 50 /* SO_ATTACH_BPF */, &value,
			 sizeof(value));
	close(ends[0]);
	close(ends[1]);
	return (int)-result;
}

/* To a new cgroup, which nobody is in. */
static int attach_in(const char *path, long program)
{
	struct {
		u32 target, program, type, flags;
	} attributes = { .program = (u32)program, .type = BPF_CGROUP_INET_INGRESS };
	long fd, result;

	if (syscall(SYS_mkdirat, AT_FDCWD, path, 0700, 0, 0) < 0)
		return NOT_TRIED;
	fd = open_at(path, O_RDONLY);
	attributes.target = (u32)fd;
	result = fd < 0 ? fd : bpf(BPF_PROG_ATTACH, &attributes, sizeof(attributes));
	if (!result)
		bpf(BPF_PROG_DETACH, &attributes, sizeof(attributes));
	close(fd);
	syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR, 0, 0);
	return (int)-result;
}

static int attach_cgroup(long program)
{
	struct text path = { .length = 0 };
	long fd = open_at("/sys/fs/cgroup/cgroup.controllers", O_RDONLY); /* only cgroup2 has it */
	int result;

	close(fd);
	if (fd < 0) {
		add(&note, "loaded only: no cgroup2 at /sys/fs/cgroup");
		return NOT_TRIED;
	}
	add(&path, "/sys/fs/cgroup/droidheaders-");
	add_number(&path, (u64)pid(), 10);
	hold_signals(1);
	result = attach_in(path.bytes, program);
	hold_signals(0);
	if (result == NOT_TRIED)
		add(&note, "loaded only: no cgroup can be made");
	if (result != EPERM)
		return result;
	/* hierarchy_allows_attach() in kernel/bpf/cgroup.c: says nothing about the kernel */
	add(&note, "loaded only: an ancestor's program allows none below it");
	return NOT_TRIED;
}

/* What programs name by its number in the kernel's BTF */

enum { KIND_STRUCT = 4, KIND_FUNC = 12, KINDS = 20 };

static struct target {
	const char *name, *member_name;
	u32 kind, id, member;
} targets[] = {
	{ .name = "bpf_fentry_test1", .kind = KIND_FUNC }, /* for this, in net/bpf/test_run.c */
	{ .name = "bpf_lsm_task_getsid", .kind = KIND_FUNC },
	{ .name = "bpf_iter_task", .kind = KIND_FUNC },
	{ .name = "tcp_congestion_ops", .member_name = "ssthresh", .kind = KIND_STRUCT },
};
enum { FENTRY_TARGET, LSM_TARGET, ITER_TARGET, STRUCT_OPS_TARGET, NO_TARGET };

struct btf_header {
	u16 magic;
	u8 version, flags;
	u32 size, types, types_size, strings, strings_size;
};

struct btf_type {
	u32 name, info, size;
};

#define BTF "/sys/kernel/btf/vmlinux"
static u8 btf[32UL << 20]; /* six times what kernels have */
static long btf_size;

static void read_btf(void)
{
	long fd = open_at(BTF, O_RDONLY), got = 1;

	if (fd < 0) {
		btf_size = fd;
		return;
	}
	while (got > 0 && btf_size < (long)sizeof(btf) - 1) {
		got = syscall(SYS_read, fd, btf + btf_size, sizeof(btf) - 1 - (u64)btf_size, 0, 0);
		btf_size += got > 0 ? got : 0;
	}
	close(fd);
}

/* What follows a type: one word or one array, or for each of its members (linux/btf.h). */
static u64 rest_of(u32 kind, u32 members)
{
	static const u8 once[KINDS] = { [1] = 4, [3] = 12, [14] = 4, [17] = 4 };
	static const u8 each[KINDS] = { [4] = 12, [5] = 12, [6] = 8, [13] = 8, [15] = 12, [19] = 12 };

	return once[kind] + (u64)each[kind] * members;
}

static u32 member_named(const char *name, const struct btf_type *type, const char *strings, u32 size)
{
	const u32 *member = (const u32 *)(type + 1);

	for (u32 i = 0; i < (type->info & 0xffff); i++)
		if (member[3 * i] < size && equal(strings + member[3 * i], name))
			return i;
	return 0;
}

static void find_targets(void)
{
	const struct btf_header *header = (const struct btf_header *)btf;
	u64 at, end, strings;
	u32 id = 1;

	if (btf_size < (long)sizeof(*header) || header->magic != 0xeb9f)
		return;
	at = (u64)header->size + header->types;
	end = at + header->types_size;
	strings = (u64)header->size + header->strings;
	if (end > (u64)btf_size || strings + header->strings_size > (u64)btf_size)
		return;
	for (; at + sizeof(struct btf_type) <= end; id++) {
		const struct btf_type *type = (const struct btf_type *)(btf + at);
		const char *names = (const char *)btf + strings;
		u32 kind = type->info >> 24 & 0x1f;

		if (kind >= KINDS)
			return;
		at += sizeof(*type) + rest_of(kind, type->info & 0xffff);
		if (at > end || type->name >= header->strings_size)
			return;
		for (struct target *target = targets; target < targets + COUNT(targets); target++) {
			if (target->kind != kind || target->id || !equal(names + type->name, target->name))
				continue;
			target->id = id;
			if (target->member_name)
				target->member = member_named(target->member_name, type, names,
							      header->strings_size);
		}
	}
}

/* The types, under the names that droidheaders has for them */

static const struct type {
	const char *name;
	u32 type, attach_type, target;
	int result; /* of the program */
	int (*attach)(long program);
} types[] = {
	{ "kprobe", KPROBE, 0, NO_TARGET, 0, attach_kprobe },
	{ "kretprobe", KPROBE, 0, NO_TARGET, 0, attach_kretprobe },
	{ "uprobe", KPROBE, 0, NO_TARGET, 0, attach_uprobe },
	{ "tracepoint", TRACEPOINT, 0, NO_TARGET, 0, attach_tracepoint },
	{ "raw_tp", RAW_TRACEPOINT, 0, NO_TARGET, 0, attach_raw_tp },
	{ "perf_event", PERF_EVENT, 0, NO_TARGET, 0, attach_perf_event },
	{ "cgroup", CGROUP_SKB, BPF_CGROUP_INET_INGRESS, NO_TARGET, 1, attach_cgroup },
	{ "socket_filter", SOCKET_FILTER, 0, NO_TARGET, 0, attach_socket_filter },
	{ "tc", SCHED_CLS, 0, NO_TARGET, 0, 0 },
	{ "xdp", XDP, 0, NO_TARGET, 2 /* XDP_PASS */, 0 },
	{ "fentry", TRACING, BPF_TRACE_FENTRY, FENTRY_TARGET, 0, attach_fentry },
	{ "lsm", LSM, BPF_LSM_MAC, LSM_TARGET, 0, attach_lsm },
	{ "iter", TRACING, BPF_TRACE_ITER, ITER_TARGET, 0, attach_iter },
	/* For these the member takes the place of an attach type. */
	{ "struct_ops", STRUCT_OPS, 0, STRUCT_OPS_TARGET, 0, 0 },
};

static long load_type(const struct type *type)
{
	/* r0 = result; exit */
	struct instruction shortest[] = { { 0xb7, 0, 0, type->result }, { 0x95, 0, 0, 0 } };
	/* -ANSWER for us and 0 for everybody else: r0 = bpf_get_current_pid_tgid() >> 32; ... */
	struct instruction answering[] = {
		{ 0x85, 0, 0, 14 },	     { 0x77, 0, 0, 32 },
		{ 0x55, 0, 2, (int)pid() },  { 0xb7, 0, 0, -ANSWER },
		{ 0x95, 0, 0, 0 },	     { 0xb7, 0, 0, 0 },
		{ 0x95, 0, 0, 0 },
	};
	struct load program = {
		.type = type->type,
		.count = COUNT(shortest),
		.instructions = shortest,
		.attach_type = type->attach_type,
	};

	if (type->type == LSM) {
		program.count = COUNT(answering);
		program.instructions = answering;
	}
	if (type->target != NO_TARGET) {
		const struct target *target = &targets[type->target];

		if (btf_size < 0) {
			add(&note, "cannot read " BTF);
			return btf_size;
		}
		if (!target->id) {
			add(&note, "not in the kernel's BTF: ");
			add(&note, target->name);
			return -ENOENT;
		}
		program.attach_btf_id = target->id;
		if (type->type == STRUCT_OPS)
			program.attach_type = target->member;
	}
	return load(&program);
}

static void probe(const struct type *type)
{
	struct text line = { .length = 0 };
	long program;
	int attached = NOT_TRIED;

	note.length = 0;
	note.bytes[0] = '\0';
	program = load_type(type);
	if (program >= 0 && type->attach)
		attached = type->attach(program);
	close(program);
	add(&line, "{\"type\":\"");
	add(&line, type->name);
	add(&line, "\",\"load\":");
	add_number(&line, program < 0 ? (u64)-program : 0, 10);
	add(&line, ",\"attach\":");
	if (attached < 0)
		add(&line, "null");
	else
		add_number(&line, (u64)attached, 10);
	add(&line, ",\"log\":\"");
	add_escaped(&line, note.bytes);
	add(&line, "\"}\n");
	syscall(SYS_write, 1, line.bytes, line.length, 0, 0);
}

__attribute__((noreturn, used)) void run(void)
{
	u64 unlimited[2] = { ~0UL, ~0UL };
	u64 timer[4] = { 0, 0, SECONDS, 0 };

	syscall(SYS_setitimer, 0 /* ITIMER_REAL, whose signal ends us */, timer, 0, 0, 0);
	/* Before 5.11 programs count towards it (97306be45fbe). */
	syscall(SYS_prlimit64, 0, 8 /* RLIMIT_MEMLOCK */, unlimited, 0, 0);
	read_btf();
	find_targets();
	for (u32 i = 0; i < COUNT(types); i++)
		probe(&types[i]);
	for (;;)
		syscall(SYS_exit_group, 0, 0, 0, 0, 0);
}
