#include "sys.h"

/* The compiler may ask for these two whatever it is told. */
void *memset(void *p, int c, size_t n)
{
	volatile char *b = p;
	while (n--)
		*b++ = (char)c;
	return p;
}

void *memcpy(void *to, const void *from, size_t n)
{
	volatile char *t = to;
	const char *f = from;
	while (n--)
		*t++ = *f++;
	return to;
}

size_t length(const char *s)
{
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

int equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

const char *after(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return NULL;
	return s;
}

word number(const char *s)
{
	word v = 0;
	while (*s >= '0' && *s <= '9')
		v = v * 10 + (*s++ - '0');
	return v;
}

word file_open(const char *path, int flags, int mode)
{
	return SYS4(__NR_openat, AT_CWD, path, flags | 02000000, mode);
}

word file_read(const char *path, char *buf, size_t size)
{
	word fd = file_open(path, 0, 0);
	if (fd < 0)
		return fd;
	size_t n = 0;
	while (n < size) {
		word r = SYS3(__NR_read, fd, buf + n, size - n);
		if (r < 0) {
			SYS1(__NR_close, fd);
			return r;
		}
		if (r == 0)
			break;
		n += (size_t)r;
	}
	SYS1(__NR_close, fd);
	return (word)n;
}
