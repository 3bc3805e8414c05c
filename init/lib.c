/* The few string functions that the init needs. */
#include "ctx.h"

#ifndef TARE_HOSTED
/* The compiler may call these four for copies and fills it makes itself. */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	u8 *t = to;
	const u8 *f = from;
	while (n--)
		*t++ = *f++;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	u8 *t = to;
	const u8 *f = from;
	if (t < f)
		return memcpy(to, from, n);
	while (n--)
		t[n] = f[n];
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	u8 *t = to;
	while (n--)
		*t++ = (u8)byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;
	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}
#endif

size_t str_len(const char *s)
{
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

int str_eq(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

void mem_copy(void *to, const void *from, size_t n)
{
	u8 *t = to;
	const u8 *f = from;
	for (size_t i = 0; i < n; i++)
		t[i] = f[i];
}

/* Appends s at offset at; always leaves a NUL; returns the new offset, or size
 * when it did not fit. */
size_t put_str(char *buf, size_t at, size_t size, const char *s)
{
	while (*s && at + 1 < size)
		buf[at++] = *s++;
	if (at < size)
		buf[at] = 0;
	return *s ? size : at;
}

size_t put_num(char *buf, size_t at, size_t size, u64 n)
{
	char tmp[21];
	size_t i = sizeof tmp - 1;
	tmp[i] = 0;
	do
		tmp[--i] = (char)('0' + n % 10);
	while ((n /= 10) && i);
	return put_str(buf, at, size, tmp + i);
}

/* The whole string must be a decimal number that fits. */
int parse_u32(const char *s, u32 *ret)
{
	u64 n = 0;
	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		n = n * 10 + (u64)(*s - '0');
		if (n > 0xffffffffull)
			return -ERANGE;
	}
	*ret = (u32)n;
	return 0;
}
