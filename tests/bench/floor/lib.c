/* Strings and the one way to fail. */
#include <stdarg.h>
#include "floor.h"

ulong __stack_chk_guard = 0x00f1004;

__attribute__((noreturn)) void __stack_chk_fail(void);
void __stack_chk_fail(void)
{
	sys_exit(126);
}

void *memset(void *to, int byte, size_t n)
{
	u8 *t = to;
	while (n--)
		*t++ = (u8)byte;
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	u8 *t = to;
	const u8 *f = from;
	while (n--)
		*t++ = *f++;
	return to;
}

static size_t length(const char *s)
{
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

const char *join(char *buf, ...)
{
	va_list parts;
	size_t at = 0;

	va_start(parts, buf);
	for (const char *p = va_arg(parts, const char *); p; p = va_arg(parts, const char *))
		while (*p && at + 1 < MAX_PATH)
			buf[at++] = *p++;
	va_end(parts);
	buf[at] = 0;
	return buf;
}

/* Ends the program with status 125 when a system call has failed. */
long must(long result, const char *what)
{
	if (result >= 0)
		return result;
	char digits[8], *d = digits + sizeof digits;
	long n = -result;
	*--d = '\n';
	do
		*--d = (char)('0' + n % 10);
	while ((n /= 10) && d > digits);
	(void)sys_write(2, "floor: ", 7);
	(void)sys_write(2, what, length(what));
	(void)sys_write(2, ": errno ", 8);
	(void)sys_write(2, d, (size_t)(digits + sizeof digits - d));
	sys_exit(125);
}
