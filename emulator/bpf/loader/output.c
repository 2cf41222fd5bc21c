// SPDX-License-Identifier: GPL-2.0
/* Lines of JSON in UTF-8, kept in a buffer of fixed size until the reader takes them. */
#define _GNU_SOURCE
#include "loader.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE (1 << 20)
#define RESERVE 256 /* for what ends a line, after its text was cut */
#define QUEUE (4 << 20)
#define WRITTEN_AT_ONCE 4096 /* PIPE_BUF: so much does not block once poll() says so */

static char line[LINE], queue[QUEUE];
static size_t length, queue_start, queue_end;
static bool first, broken;
static unsigned long long lost;
static long long patient_until;

static void put(char byte)
{
	if (length < LINE)
		line[length++] = byte;
}

static void put_text(const char *text)
{
	while (*text)
		put(*text++);
}

size_t line_length(void)
{
	return length;
}

void cut_line(size_t to)
{
	length = to;
	first = line[to - 1] == '[' || line[to - 1] == '{';
}

size_t line_room(void)
{
	return length + RESERVE < LINE ? LINE - RESERVE - length : 0;
}

static void put_name(const char *name)
{
	if (!first)
		put(',');
	first = false;
	if (name) {
		put('"');
		put_text(name);
		put_text("\":");
	}
}

/* The length of the UTF-8 sequence at `at`, or 0: neither overlong nor a surrogate (RFC 3629). */
static size_t sequence(const unsigned char *at, size_t left)
{
	static const unsigned int smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t size = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : *at < 0xf5 ? 4 : 0;
	unsigned int code;

	if (size <= 1 || size > left)
		return size <= left ? size : 0;
	code = *at & (0x7f >> size);
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	return code < smallest[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : size;
}

void add_bytes(const char *name, const void *text, size_t size)
{
	const unsigned char *at = text;
	char escape[8];

	put_name(name);
	put('"');
	while (size && line_room() > 8) {
		size_t whole = sequence(at, size);

		if (!whole) {
			put_text("\\ufffd");
			whole = 1;
		} else if (*at == '"' || *at == '\\') {
			put('\\');
			put((char)*at);
		} else if (*at < 0x20 || *at == 0x7f) {
			snprintf(escape, sizeof(escape), "\\u%04x", *at);
			put_text(escape);
		} else {
			for (size_t i = 0; i < whole; i++)
				put((char)at[i]);
		}
		at += whole;
		size -= whole;
	}
	put('"');
}

void add_string(const char *name, const char *text)
{
	if (text)
		add_bytes(name, text, strlen(text));
	else
		add_null(name);
}

void add_number(const char *name, long long number)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%lld", number);
	put_name(name);
	put_text(digits);
}

void add_bool(const char *name, bool value)
{
	put_name(name);
	put_text(value ? "true" : "false");
}

void add_null(const char *name)
{
	put_name(name);
	put_text("null");
}

void add_hex(const char *name, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	put_name(name);
	put('"');
	for (; size-- && line_room() > 2; at++) {
		put("0123456789abcdef"[*at >> 4]);
		put("0123456789abcdef"[*at & 15]);
	}
	put('"');
}

void add_base64(const char *name, const void *bytes, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *at = bytes;

	put_name(name);
	put('"');
	for (; size && line_room() > 4; at += 3) {
		unsigned int bits = (unsigned int)at[0] << 16 | (size > 1 ? at[1] << 8 : 0) |
				    (size > 2 ? at[2] : 0);

		put(digits[bits >> 18]);
		put(digits[bits >> 12 & 63]);
		put(size > 1 ? digits[bits >> 6 & 63] : '=');
		put(size > 2 ? digits[bits & 63] : '=');
		size -= size < 3 ? size : 3;
	}
	put('"');
}

static void bracket(const char *name, char opening)
{
	put_name(name);
	put(opening);
	first = true;
}

void open_list(const char *name)
{
	bracket(name, '[');
}

void open_object(void)
{
	bracket(NULL, '{');
}

void close_list(void)
{
	put(']');
	first = false;
}

void close_object(void)
{
	put('}');
	first = false;
}

void begin(const char *type)
{
	length = 0;
	first = true;
	open_object();
	add_string("type", type);
}

bool output_waits(void)
{
	return queue_start < queue_end && !broken;
}

bool output_broken(void)
{
	return broken;
}

unsigned long long dropped(void)
{
	return lost;
}

/* Write what does not block; poll() has said that something can be written. */
void write_out(void)
{
	size_t size = queue_end - queue_start;
	ssize_t done;

	if (!output_waits())
		return;
	done = write(STDOUT_FILENO, queue + queue_start,
		     size < WRITTEN_AT_ONCE ? size : WRITTEN_AT_ONCE);
	if (done < 0 && errno != EAGAIN && errno != EINTR)
		broken = true;
	if (done > 0)
		queue_start += (size_t)done;
	if (queue_start == queue_end)
		queue_start = queue_end = 0;
}

/* Wait until the reader took something, for so many milliseconds or, with -1, for ever. A signal
 * meanwhile means that nobody reads any more. */
static void await_reader(int patience)
{
	struct pollfd fds[] = { { .fd = STDOUT_FILENO, .events = POLLOUT },
				{ .fd = signal_fd, .events = POLLIN } };

	poll(fds, 2, patience);
	if (fds[1].revents)
		broken = true;
	else if (fds[0].revents)
		write_out();
}

static bool fits(size_t limit)
{
	return queue_end - queue_start + length + 3 <= limit;
}

static void enqueue(void)
{
	put_text("}\n");
	if (queue_end + length > QUEUE) {
		memmove(queue, queue + queue_start, queue_end - queue_start);
		queue_end -= queue_start;
		queue_start = 0;
	}
	memcpy(queue + queue_end, line, length);
	queue_end += length;
}

void end_line(void)
{
	while (!broken && !fits(QUEUE))
		await_reader(-1);
	if (!broken)
		enqueue();
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

void be_patient(int milliseconds)
{
	patient_until = now() + milliseconds;
}

void end_line_or_drop(void)
{
	long long left;

	while (!broken && !fits(QUEUE / 2) && (left = patient_until - now()) > 0)
		await_reader((int)left);
	/* Half of it is for what must not be lost. */
	if (fits(QUEUE / 2))
		enqueue();
	else
		lost++;
}

bool drops(size_t size)
{
	bool dropping = queue_end - queue_start + size > QUEUE / 2 && now() >= patient_until;

	lost += dropping;
	return dropping;
}

void drain(void)
{
	while (output_waits())
		await_reader(-1);
}
