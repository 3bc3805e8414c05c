/* The network namespace's one interface, and what the payload may do. */
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sockios.h>
#include "floor.h"

#define AF_INET_ 2
#define IFF_UP_ 1
#define SOCK_DGRAM_CLOEXEC (2 | 02000000)

/* Those of testdata/default.json. */
#define KEEP (1ull << CAP_AUDIT_WRITE | 1ull << CAP_KILL | 1ull << CAP_NET_BIND_SERVICE)

void loopback_up(void)
{
	/* struct ifreq, netdevice(7); <linux/if.h> would bring a C library's headers. */
	struct {
		char name[16];
		short flags;
		char rest[22];
	} lo = {"lo", IFF_UP_, ""};
	int fd = (int)must(sys3(__NR_socket, AF_INET_, SOCK_DGRAM_CLOEXEC, 0), "socket");

	must(sys3(__NR_ioctl, fd, SIOCSIFFLAGS, &lo), "lo up");
	(void)sys_close(fd);
}

void lock_down(void)
{
	struct rlimit64 files = {1024, 1024};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2] = {{0}};

	for (ulong c = 0; c <= CAP_LAST_CAP; c++)
		if (!(KEEP >> c & 1)) {
			long r = sys2(__NR_prctl, PR_CAPBSET_DROP, c);
			if (r != -EINVAL) /* a kernel that is older than the header */
				must(r, "bounding set");
		}
	must(sys4(__NR_prlimit64, 0, RLIMIT_NOFILE, &files, NULL), "RLIMIT_NOFILE");
	caps[0].permitted = caps[0].effective = (u32)KEEP;
	must(sys2(__NR_capset, &header, caps), "capset");
	must(sys5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}
