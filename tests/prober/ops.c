#include "sys.h"

void list_files(const char *dir);
void stat_file(const char *path);

enum { O_WRITE = 1, O_MAKE = 0100, O_NEW = 0200 };

static void pause_for(word ns)
{
	uint64_t t[2] = {(uint64_t)ns / 1000000000, (uint64_t)ns % 1000000000};
	SYS2(__NR_nanosleep, t, 0);
}

static void op_read(const char *path)
{
	word fd = file_open(path, 0, 0);
	char c;
	word n = fd < 0 ? fd : SYS3(__NR_read, fd, &c, 1);
	if (fd >= 0)
		SYS1(__NR_close, fd);
	json_int("err", n < 0 ? -n : 0);
	json_file("data", path);
}

static void op_write(const char *arg)
{
	char path[512];
	size_t n = 0;
	while (arg[n] && arg[n] != '=' && n + 1 < sizeof(path)) {
		path[n] = arg[n];
		n++;
	}
	path[n] = 0;
	const char *text = arg[n] ? arg + n + 1 : "";
	word fd = file_open(path, O_WRITE, 0);
	word e = fd < 0 ? fd : SYS3(__NR_write, fd, text, length(text));
	if (fd >= 0)
		SYS1(__NR_close, fd);
	json_int("err", e < 0 ? -e : 0);
}

/* One datagram to a unix socket. */
static void op_send(const char *arg)
{
	struct {
		unsigned short family;
		char path[108];
	} to = {.family = 1};
	size_t n = 0;
	while (arg[n] && arg[n] != '=' && n + 1 < sizeof(to.path)) {
		to.path[n] = arg[n];
		n++;
	}
	const char *text = arg[n] ? arg + n + 1 : "";
	word fd = SYS3(__NR_socket, 1, 2, 0);
	word e = fd < 0 ? fd : sys6(__NR_sendto, fd, (word)text, (word)length(text), 0, (word)&to, sizeof(to));
	if (fd >= 0)
		SYS1(__NR_close, fd);
	json_int("err", e < 0 ? -e : 0);
}

static void op_create(const char *path)
{
	word fd = file_open(path, O_WRITE | O_MAKE | O_NEW, 0666);
	json_int("err", fd < 0 ? -fd : 0);
	if (fd >= 0)
		SYS1(__NR_close, fd);
}

static void op_fork(word count)
{
	word e = 0;
	for (word i = 0; i < count && e >= 0; i++) {
		e = SYS5(__NR_clone, 17, 0, 0, 0, 0);
		if (e == 0)
			for (;;)
				pause_for(1000000000);
	}
	json_int("err", e < 0 ? -e : 0);
}

static void op_alloc(word kib)
{
	word p = sys6(__NR_mmap, 0, kib << 10, 3, 0x22, -1, 0);
	if (p > 0)
		for (word i = 0; i < kib << 10; i += 4096)
			*(volatile char *)(p + i) = 1;
	json_int("err", p < 0 && p > -4096 ? -p : 0);
}

/* Maps huge pages and touches them one by one: the answer is the number of those
 * that could be had, if the process has lived to tell. */
static void op_huge(word count)
{
	const word size = 2 << 20;
	word p = sys6(__NR_mmap, 0, count * size, 3, 0x40022, -1, 0);
	if (p > 0 || p < -4096)
		for (word i = 0; i < count; i++)
			*(volatile char *)(p + i * size) = 1;
	json_int("err", p < 0 && p > -4096 ? -p : 0);
}

/* "ABI:NUMBER:ARG:ARG...": one system call by the way in that the ABI names, and
 * what it returns. Arguments are numbers, or text after an @. */
static void op_call(const char *s)
{
	word v[7] = {0}, r;
	const char *native = after(s, "native:"), *i386 = after(s, "i386:"), *x32 = after(s, "x32:");
	const char *a = native ? native : i386 ? i386 : x32;
	static char text[256];
	size_t used = 0;

	for (int i = 0; a && *a && i < 7; i++) {
		if (*a == '@') {
			v[i] = (word)(text + used);
			for (a++; *a && *a != ':' && used + 1 < sizeof text; a++)
				text[used++] = *a;
			text[used++] = 0;
		} else {
			v[i] = number(a);
			while (*a && *a != ':')
				a++;
		}
		if (*a == ':')
			a++;
	}
	if (i386) {
#if defined(__x86_64__)
		/* %ebp is the sixth argument, which no test has. */
		__asm__ volatile("int $0x80" : "=a"(r) : "a"(v[0]), "b"(v[1]), "c"(v[2]), "d"(v[3]), "S"(v[4]), "D"(v[5])
				 : "memory", "r8", "r9", "r10", "r11");
		r = (int)r;
#else
		r = -38;
#endif
	} else {
		r = sys6(v[0] | (x32 ? 0x40000000 : 0), v[1], v[2], v[3], v[4], v[5], v[6]);
	}
	json_int("ret", r);
	json_int("err", r < 0 && r > -4096 ? -r : 0);
}

static void op_wait(const char *path)
{
	for (int i = 0; i < 6000; i++) {
		if (SYS3(__NR_faccessat, AT_CWD, path, 0) == 0) {
			json_int("err", 0);
			return;
		}
		pause_for(5000000);
	}
	json_int("err", 110);
}

void run_op(const char *op)
{
	const char *a;
	json_open(NULL, '{');
	json_text("op", op);
	if ((a = after(op, "stat:")))
		stat_file(a);
	else if ((a = after(op, "read:")))
		op_read(a);
	else if ((a = after(op, "ls:")))
		list_files(a);
	else if ((a = after(op, "write:")))
		op_write(a);
	else if ((a = after(op, "send:")))
		op_send(a);
	else if ((a = after(op, "create:")))
		op_create(a);
	else if ((a = after(op, "mkdir:")))
		json_int("err", -SYS3(__NR_mkdirat, AT_CWD, a, 0777));
	else if ((a = after(op, "mknod:")))
		json_int("err", -SYS4(__NR_mknodat, AT_CWD, a, 0020666, 0x103));
	else if ((a = after(op, "remove:")))
		json_int("err", -SYS3(__NR_unlinkat, AT_CWD, a, 0));
	else if ((a = after(op, "mount:")))
		json_int("err", -SYS5(__NR_mount, "tmpfs", a, "tmpfs", 0, 0));
	else if ((a = after(op, "umount:")))
		json_int("err", -SYS2(__NR_umount2, a, 2));
	else if ((a = after(op, "chroot:")))
		json_int("err", -SYS1(__NR_chroot, a));
	else if ((a = after(op, "setname:")))
		json_int("err", -SYS2(__NR_sethostname, a, length(a)));
	else if ((a = after(op, "unshare:")))
		json_int("err", -SYS1(__NR_unshare, number(a)));
	else if ((a = after(op, "syscall:"))) {
		word e = sys6(number(a), 0, 0, 0, 0, 0, 0);
		json_int("err", e < 0 && e > -4096 ? -e : 0);
	} else if ((a = after(op, "call:")))
		op_call(a);
	else if ((a = after(op, "fork:")))
		op_fork(number(a));
	else if ((a = after(op, "alloc:")))
		op_alloc(number(a));
	else if ((a = after(op, "huge:")))
		op_huge(number(a));
	else if ((a = after(op, "wait:")))
		op_wait(a);
	else if ((a = after(op, "spy:")))
		op_spy(a, 0);
	else if ((a = after(op, "seize:")))
		op_spy(a, 1);
	else
		json_int("err", 22);
	json_close('}');
}

int is_last(const char *op)
{
	return after(op, "exit:") || after(op, "kill:") || after(op, "signals:") || equal(op, "pause");
}

/* Takes COUNT signals, prints the number of each on a line, and exits with 0. */
static void take_signals(word count)
{
	uint64_t all = ~0ul;
	SYS4(__NR_rt_sigprocmask, 2, &all, 0, 8);
	json_text(NULL, "ready");
	json_end();
	while (count > 0) {
		word sig = SYS4(__NR_rt_sigtimedwait, &all, 0, 0, 8);
		if (sig < 0)
			continue; /* the freezer of v2 interrupts it */
		json_int(NULL, sig);
		json_end();
		count--;
	}
	SYS1(__NR_exit_group, 0);
}

void run_last(const char *op)
{
	const char *a;
	if ((a = after(op, "exit:")))
		SYS1(__NR_exit_group, number(a));
	if ((a = after(op, "kill:"))) {
		SYS2(__NR_kill, SYS0(__NR_getpid), number(a));
		SYS1(__NR_exit_group, 97);
	}
	if ((a = after(op, "signals:")))
		take_signals(number(a));
	for (;;)
		pause_for(3600000000000);
}
