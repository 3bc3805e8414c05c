#include "sys.h"

static char out[4096];
static size_t used;
static int comma;

static void flush(void)
{
	size_t done = 0;
	while (done < used) {
		word n = SYS3(__NR_write, 1, out + done, used - done);
		if (n == -4 || n == -11)
			continue;
		if (n <= 0)
			SYS1(__NR_exit_group, 99);
		done += (size_t)n;
	}
	used = 0;
}

static void put(char c)
{
	if (used == sizeof(out))
		flush();
	out[used++] = c;
}

static void quoted(const char *s, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	put('"');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c == '"' || c == '\\') {
			put('\\');
			put((char)c);
		} else if (c < 0x20 || c >= 0x7f) { /* bytes, not text: read as Latin-1 */
			put('\\'), put('u'), put('0'), put('0');
			put(digits[c >> 4]);
			put(digits[c & 15]);
		} else {
			put((char)c);
		}
	}
	put('"');
}

static void name(const char *key)
{
	if (comma)
		put(',');
	comma = 1;
	if (key) {
		quoted(key, length(key));
		put(':');
	}
}

void json_open(const char *key, char bracket)
{
	name(key);
	put(bracket);
	comma = 0;
}

void json_close(char bracket)
{
	put(bracket);
	comma = 1;
}

void json_bytes(const char *key, const char *s, size_t n)
{
	name(key);
	quoted(s, n);
}

void json_text(const char *key, const char *s)
{
	json_bytes(key, s, length(s));
}

static size_t decimal(char *to, uint64_t v)
{
	char tmp[24];
	size_t n = 0, i = 0;
	do
		tmp[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		to[i++] = tmp[--n];
	return i;
}

void json_int(const char *key, word v)
{
	char b[24];
	name(key);
	if (v < 0)
		put('-');
	size_t n = decimal(b, v < 0 ? -(uint64_t)v : (uint64_t)v);
	for (size_t i = 0; i < n; i++)
		put(b[i]);
}

void json_uint(const char *key, uint64_t v)
{
	char b[24];
	json_bytes(key, b, decimal(b, v));
}

void json_hex(const char *key, uint64_t v)
{
	char b[16];
	for (int i = 15; i >= 0; i--, v >>= 4)
		b[i] = "0123456789abcdef"[v & 15];
	json_bytes(key, b, 16);
}

/* A file of the kernel is copied through a small buffer: what is read may be
 * longer than the memory that a test allows. */
void json_file(const char *key, const char *path)
{
	char b[512];
	word fd = file_open(path, 0, 0);
	name(key);
	put('"');
	for (int rest = 256 << 10; rest > 0; rest -= (int)sizeof(b)) { /* some files have no end */
		word n = fd < 0 ? 0 : SYS3(__NR_read, fd, b, sizeof(b));
		if (n <= 0)
			break;
		for (word i = 0; i < n; i++) {
			if (b[i] == '\n' || b[i] == '\t' || b[i] == 0) {
				put('\\');
				put(b[i] == '\n' ? 'n' : b[i] == '\t' ? 't' : 'b'); /* NUL as \b */
			} else if (b[i] == '"' || b[i] == '\\') {
				put('\\');
				put(b[i]);
			} else if ((unsigned char)b[i] >= 0x20 && (unsigned char)b[i] < 0x7f) {
				put(b[i]);
			} else {
				put('?');
			}
		}
	}
	put('"');
	if (fd >= 0)
		SYS1(__NR_close, fd);
}

void json_end(void)
{
	put('\n');
	flush();
}
