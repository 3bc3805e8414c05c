package syscalltrace

import (
	"strings"
	"testing"
)

// The lines are those of strace 6.1 -f -y; the first thread's calls are
// interrupted by another's, and a failed execve precedes the good one.
const straceOutput = `100   execve("/usr/bin/tare", ["tare", "run"], 0x7ffd /* 20 vars */) = 0
100   clone(child_stack=0xc00008a000, flags=CLONE_VM|CLONE_FS|CLONE_THREAD|CLONE_SYSVSEM, parent_tid=NULL) = 101
101   gettid( <unfinished ...>
100   write(7</sys/fs/cgroup/pids/bench/cgroup.procs>, "102", 3 <unfinished ...>
101   <... gettid resumed>)             = 101
100   <... write resumed>)              = 3
100   clone3({flags=CLONE_VM|CLONE_VFORK|CLONE_NEWPID, exit_signal=SIGCHLD}, 88) = 102
102   write(9</tasks>, "0", 1)          = 1
102   write(10</sys/fs/cgroup/cpu/bench/tasks>, "0", 1) = 1
102   write(2</tmp/cgroup.procs.log>, "cgroup.procs", 12) = 12
102   openat(AT_FDCWD</>, "/sys/fs/cgroup/cpu/cgroup.procs", O_RDONLY) = 11</sys/fs/cgroup/cpu/cgroup.procs>
102   read(8</etc/file>, "abc"..., 512) = 300
102   read(8</proc/102/mountinfo>, "22 27"..., 512) = 512
102   read(9<pipe:[1234]>, "x", 1) = 1
102   read(8</etc/file>,  <unfinished ...>
100   futex(0x55, FUTEX_WAKE_PRIVATE, 1) = 0
102   <... read resumed>"d", 512) = 12
102   openat(AT_FDCWD</>, "/proc/self/mountinfo", O_RDONLY) = 8</proc/102/mountinfo>
102   statfs("/sys/fs/cgroup/net_cls", 0xc0000) = -1 ENOENT (No such file or directory)
102   execve("/bin/none", ["none"], 0x7ffd /* 0 vars */) = -1 ENOENT (No such file or directory)
102   execve("/bin/payload", ["payload"], 0x7ffd /* 0 vars */ <unfinished ...>
102   <... execve resumed>)             = 0
102   exit_group(0)                     = ?
102   +++ exited with 0 +++
100   --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=102} ---
100   exit_group(0)                     = ?
`

func TestParseCountsCallsOnceAndThreadsApart(t *testing.T) {
	got, err := Parse(strings.NewReader(straceOutput))
	if err != nil {
		t.Fatal(err)
	}
	want := Counts{Calls: 15, Processes: 2, Threads: 1, Execs: 2, Opened: 2, Mountinfo: 1, BytesRead: 312, ProcsWrites: 1, TasksWrites: 2}
	if *got != want {
		t.Errorf("Parse = %+v, want %+v", *got, want)
	}
}

func TestParseRefusesAnEmptyTrace(t *testing.T) {
	if got, err := Parse(strings.NewReader("100   +++ exited with 0 +++\n")); err == nil {
		t.Errorf("Parse = %+v, want an error: nothing was recorded", got)
	}
}
