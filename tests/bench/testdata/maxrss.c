/*
 * maxrss FILE COMMAND [ARG]...
 *
 * Runs COMMAND, writes the peak resident set in KiB of the command and of all
 * its waited-for descendants to FILE, and ends with the command's status.
 *
 * It exists because the kernel folds the resident set of the address space
 * that a process leaves at execve(2) into ru_maxrss: spawned straight from the
 * benchmark, every runtime would seem to need as much memory as the benchmark.
 * Here that floor is this program's own few hundred KiB.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;
	FILE *out;
	pid_t pid;

	if (argc < 3)
		return 2;
	pid = fork();
	if (pid < 0)
		return 2;
	if (pid == 0) {
		execv(argv[2], argv + 2);
		_exit(127);
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		return 2;
	out = fopen(argv[1], "we");
	if (!out)
		return 2;
	if (fprintf(out, "%ld\n", usage.ru_maxrss) < 0 || fclose(out) != 0)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
