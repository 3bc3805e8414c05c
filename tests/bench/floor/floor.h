/* The floor: a container by a C program that knows what it wants. It reads no
 * config, keeps no state and has no options but its arguments; see main.c. */
#pragma once

#include "../../../init/sys.h"

#define MAX_HIERARCHIES 32
#define MAX_PATH 512

/* What the arguments say. */
struct floor {
	const char *rootfs;
	const char *cgroup;			/* below each hierarchy, without a slash in front */
	const char *hierarchies[MAX_HIERARCHIES]; /* directories in /sys/fs/cgroup */
	int count;				/* 0: /sys/fs/cgroup is a cgroup2 itself */
	int beside;				/* make the network namespace in a process beside */
	char **argv;				/* the payload */
	int tasks[MAX_HIERARCHIES];		/* the files that the child joins by */
	int unified;				/* directory of the cgroup2 to be cloned into, or -1 */
	int net;				/* a network namespace that exists, or -1 */
};

/* lib.c */
long must(long result, const char *what);
void *memset(void *to, int byte, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
int same(const char *a, const char *b);
/* Writes the parts, up to a NULL, behind each other into one of MAX_PATH bytes. */
const char *join(char *buf, ...) __attribute__((sentinel));

/* cgroup.c */
void make_cgroups(struct floor *f);
void join_cgroups(const struct floor *f);
void remove_cgroups(const struct floor *f);

/* mounts.c */
void make_root(const struct floor *f);

/* cred.c */
void loopback_up(void);
void lock_down(void);
