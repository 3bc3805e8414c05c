// The oracle that the compiler is compared with: libseccomp, driven by lines
// on standard input.
//
//   oracle export < profile > filter     compile a profile, write the BPF
//   oracle resolve < names > numbers     one line of numbers per name
//
// A profile is a list of lines, fields separated by one blank:
//
//   default ACTION        the default action, a number as in seccomp.h
//   native NAME           the native architecture, if not that of this machine
//   arch NAME             an architecture beside the native one
//   optimize N            SCMP_FLTATR_CTL_OPTIMIZE
//   rule ACTION NAME N [ARG OP A B]...
//
// "rule" carries N comparisons; OP is the number in enum scmp_compare. A name
// that libseccomp does not know is printed to standard error, after
// "unknown ", and skipped. Status 2 means that libseccomp refused a rule
// because it contradicts an earlier one.
#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGS_MAX 6

static void die(const char *what, int rc)
{
	fprintf(stderr, "oracle: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static int resolve(void)
{
	static const uint32_t arch[] = { SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32,
					 SCMP_ARCH_AARCH64, SCMP_ARCH_ARM };
	char name[128];

	while (scanf("%127s", name) == 1) {
		printf("%s", name);
		for (size_t i = 0; i < sizeof(arch) / sizeof(arch[0]); i++)
			printf(" %d", seccomp_syscall_resolve_name_arch(arch[i], name));
		putchar('\n');
	}
	return 0;
}

static void add_rule(scmp_filter_ctx ctx)
{
	struct scmp_arg_cmp args[ARGS_MAX];
	unsigned long long a, b;
	unsigned int action, n, arg, op;
	char name[128];
	int nr, rc;

	if (scanf("%u %127s %u", &action, name, &n) != 3 || n > ARGS_MAX)
		die("bad rule", -EINVAL);
	for (unsigned int i = 0; i < n; i++) {
		if (scanf("%u %u %llu %llu", &arg, &op, &a, &b) != 4)
			die("bad argument", -EINVAL);
		args[i] = (struct scmp_arg_cmp){ arg, op, a, b };
	}
	nr = seccomp_syscall_resolve_name(name);
	if (nr == __NR_SCMP_ERROR) {
		fprintf(stderr, "unknown %s\n", name);
		return;
	}
	rc = seccomp_rule_add_array(ctx, action, nr, n, args);
	if (rc == -EEXIST)
		exit(2);
	if (rc != 0)
		die(name, rc);
}

static int export(void)
{
	scmp_filter_ctx ctx = NULL;
	unsigned int num;
	char word[64];
	int rc;

	while (scanf("%63s", word) == 1) {
		if (strcmp(word, "default") == 0) {
			if (scanf("%u", &num) != 1)
				die("bad default", -EINVAL);
			ctx = seccomp_init(num);
			if (ctx == NULL)
				die("seccomp_init", -ENOMEM);
		} else if (ctx == NULL) {
			die("default must be the first line", -EINVAL);
		} else if (strcmp(word, "native") == 0) {
			uint32_t native;

			if (scanf("%63s", word) != 1)
				die("bad native", -EINVAL);
			native = seccomp_arch_resolve_name(word);
			if (native != seccomp_arch_native()) {
				rc = seccomp_arch_add(ctx, native);
				if (rc == 0)
					rc = seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE);
				if (rc != 0)
					die(word, rc);
			}
		} else if (strcmp(word, "arch") == 0) {
			if (scanf("%63s", word) != 1)
				die("bad arch", -EINVAL);
			rc = seccomp_arch_add(ctx, seccomp_arch_resolve_name(word));
			if (rc != 0 && rc != -EEXIST)
				die(word, rc);
		} else if (strcmp(word, "optimize") == 0) {
			if (scanf("%u", &num) != 1)
				die("bad optimize", -EINVAL);
			rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, num);
			if (rc != 0)
				die("optimize", rc);
		} else if (strcmp(word, "rule") == 0) {
			add_rule(ctx);
		} else {
			die(word, -EINVAL);
		}
	}
	if (ctx == NULL)
		die("empty profile", -EINVAL);
	rc = seccomp_export_bpf(ctx, STDOUT_FILENO);
	if (rc != 0)
		die("export", rc);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "resolve") == 0)
		return resolve();
	if (argc == 2 && strcmp(argv[1], "export") == 0)
		return export();
	fprintf(stderr, "usage: oracle export|resolve\n");
	return 1;
}
