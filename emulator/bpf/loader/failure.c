// SPDX-License-Identifier: GPL-2.0
/* What the loader itself has to say, and how it gives up. */
#define _GNU_SOURCE
#include "loader.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void say(const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	begin("log");
	add_string("source", "loader");
	add_null("program");
	add_string("text", text);
	end_line();
}

const char *errno_name(int number)
{
	static char unknown[16];
	const char *name = strerrorname_np(number);

	if (number == 524) /* include/linux/errno.h, for the kernel alone */
		return "ENOTSUPP";
	if (number == EOPNOTSUPP) /* the same number as ENOTSUP */
		return "EOPNOTSUPP";
	if (name)
		return name;
	snprintf(unknown, sizeof(unknown), "errno %d", number);
	return unknown;
}

void fail(const char *stage, const char *program, const char *section, int number,
	  const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	detach();
	close_trace();
	end_guard();
	begin("error");
	add_string("stage", stage);
	add_string("program", program);
	add_string("section", section);
	add_number("errno", number);
	add_string("error", errno_name(number));
	add_string("message", text);
	end_line();
	drain();
	exit(1);
}
