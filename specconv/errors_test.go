package specconv

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
)

// plain is a config without mistakes, with every namespace.
func plain() *specs.Spec {
	var ns []specs.LinuxNamespace
	for _, n := range nsTypes {
		if n.name != specs.UserNamespace {
			ns = append(ns, specs.LinuxNamespace{Type: n.name})
		}
	}
	return &specs.Spec{Version: "1.2.0", Root: &specs.Root{Path: "rootfs"}, Process: &specs.Process{Args: []string{"x"}, Cwd: "/"},
		Linux: &specs.Linux{Namespaces: ns}}
}

func number[T any](v T) *T { return &v }

func (m mutation) spec() *specs.Spec {
	s := plain()
	m.change(s)
	return s
}

// mutation is one mistake and the lines that it must give: class, field, value
// and reason.
type mutation struct {
	name   string
	change func(*specs.Spec)
	want   string
}

// without leaves one namespace to the host.
func without(s *specs.Spec, t specs.LinuxNamespaceType) {
	var keep []specs.LinuxNamespace
	for _, n := range s.Linux.Namespaces {
		if n.Type != t {
			keep = append(keep, n)
		}
	}
	s.Linux.Namespaces = keep
}

func userns(s *specs.Spec, uids, gids []specs.LinuxIDMapping) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings, s.Linux.GIDMappings = uids, gids
}

func ids(container, host, size uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: container, HostID: host, Size: size}}
}

func mounted(ms ...specs.Mount) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Mounts = ms }
}

func withDevice(d specs.LinuxDevice) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{d} }
}

var mistakes = append(linuxMistakes, []mutation{
	{"no version", func(s *specs.Spec) { s.Version = "" }, `config ociVersion: is required`},
	{"odd version", func(s *specs.Spec) { s.Version = "1.x" }, `config ociVersion "1.x": is not a version of the form 1.x.y`},
	{"version without dots", func(s *specs.Spec) { s.Version = "1" }, `config ociVersion "1": is not a version of the form 1.x.y`},
	{"next version", func(s *specs.Spec) { s.Version = "2.0.0" }, `config ociVersion "2.0.0": only versions 1.x are supported`},
	{"solaris", func(s *specs.Spec) { s.Solaris = &specs.Solaris{} }, `config solaris: is for Solaris containers; tare runs Linux containers`},
	{"windows", func(s *specs.Spec) { s.Windows = &specs.Windows{} }, `config windows: is for Windows containers; tare runs Linux containers`},
	{"vm", func(s *specs.Spec) { s.VM = &specs.VM{} }, `config vm: is for virtual machine runtimes; tare runs Linux containers`},
	{"freebsd", func(s *specs.Spec) { s.FreeBSD = &specs.FreeBSD{} }, `config freebsd: is for FreeBSD jails; tare runs Linux containers`},
	{"zos", func(s *specs.Spec) { s.ZOS = &specs.ZOS{} }, `config zos: is for z/OS containers; tare runs Linux containers`},
	{"relative listener", func(s *specs.Spec) { s.Linux.Seccomp = asking("run/agent") }, `config linux.seccomp.listenerPath "run/agent": must be absolute`},
	{"listener with NUL", func(s *specs.Spec) { s.Linux.Seccomp = asking("/run/\x00agent") }, `config linux.seccomp.listenerPath "/run/\x00agent": has a NUL byte`},
	{"metadata with NUL", func(s *specs.Spec) {
		s.Linux.Seccomp = asking("/run/agent")
		s.Linux.Seccomp.ListenerMetadata = "a\x00b"
	}, `config linux.seccomp.listenerMetadata "a\x00b": has a NUL byte`},
	{"empty annotation", func(s *specs.Spec) { s.Annotations = map[string]string{"": "x"} }, `config annotations: a key is empty (config.md, Annotations)`},

	{"no root", func(s *specs.Spec) { s.Root = nil }, `config root: is required on Linux (config.md, Root)`},
	{"no root path", func(s *specs.Spec) { s.Root.Path = "" }, `config root.path: is required`},
	{"NUL in root path", func(s *specs.Spec) { s.Root.Path = "a\x00" }, `config root.path "a\x00": has a NUL byte`},
	{"propagation", func(s *specs.Spec) { s.Linux.RootfsPropagation = "loud" },
		`config linux.rootfsPropagation "loud": is not one of shared, slave, private, unbindable or their recursive forms`},

	{"no process", func(s *specs.Spec) { s.Process = nil }, `config process: process property must not be empty`},
	{"no args", func(s *specs.Spec) { s.Process.Args = nil }, `config process.args: args must not be empty`},
	{"empty program", func(s *specs.Spec) { s.Process.Args = []string{"", "x"} }, `config process.args[0]: is the program and must not be empty`},
	{"no cwd", func(s *specs.Spec) { s.Process.Cwd = "" }, `config process.cwd: Cwd property must not be empty`},
	{"relative cwd", func(s *specs.Spec) { s.Process.Cwd = "x" }, `config process.cwd "x": Cwd must be an absolute path`},
	{"environment", func(s *specs.Spec) { s.Process.Env = []string{"A=1", "B", "=x"} },
		`config process.env[1] "B": is not of the form NAME=value
config process.env[2] "=x": is not of the form NAME=value`},
	{"oom score", func(s *specs.Spec) { s.Process.OOMScoreAdj = number(-1001) }, `config process.oomScoreAdj "-1001": must be between -1000 and 1000`},
	{"umask", func(s *specs.Spec) { s.Process.User.Umask = number(uint32(0o1000)) }, `config process.user.umask "512": must be at most 511 (octal 0777)`},
	{"uid -1", func(s *specs.Spec) { s.Process.User.UID = 1<<32 - 1 },
		`config process.user.uid "4294967295": is not an id: the kernel takes it for "unchanged" (setresuid(2))`},
	{"gid -1", func(s *specs.Spec) {
		s.Process.User.GID = 1<<32 - 1
		s.Process.User.AdditionalGids = []uint32{0, 1<<32 - 1}
	}, `config process.user.additionalGids[1] "4294967295": is not an id: the kernel takes it for "unchanged" (setresuid(2))
config process.user.gid "4294967295": is not an id: the kernel takes it for "unchanged" (setresuid(2))`},
	{"unmapped user", func(s *specs.Spec) {
		userns(s, ids(0, 1000, 10), ids(0, 1000, 10))
		s.Process.User = specs.User{UID: 10, GID: 11, AdditionalGids: []uint32{9, 12}}
	}, `config process.user.additionalGids[1] "12": is not mapped in linux.gidMappings
config process.user.gid "11": is not mapped in linux.gidMappings
config process.user.uid "10": is not mapped in linux.uidMappings`},
	{"effective without permitted", func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Effective: []string{"CAP_KILL"}}
	},
		`config process.capabilities.effective "CAP_KILL": is not in permitted, so it cannot be effective (capabilities(7))`},
	{"inheritable without bounding", func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Inheritable: []string{"CAP_KILL"}}
	},
		`config process.capabilities.inheritable "CAP_KILL": is not in bounding, so it cannot be inheritable (capabilities(7))`},
	{"rlimits", func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_X"}, {Type: "RLIMIT_CPU", Soft: 2, Hard: 1}, {Type: "RLIMIT_CPU"}}
	}, `config process.rlimits[0].type "RLIMIT_X": is not a resource limit (getrlimit(2))
config process.rlimits[1].soft "2": is above hard, 1
config process.rlimits[2].type "RLIMIT_CPU": is listed twice (config.md, Process, rlimits)`},
	{"apparmor", func(s *specs.Spec) { s.Process.ApparmorProfile = "p" }, `host process.apparmorProfile "p": needs AppArmor, which this kernel does not run`},
	{"selinux", func(s *specs.Spec) { s.Process.SelinuxLabel = "l" }, `host process.selinuxLabel "l": needs SELinux, which this kernel does not run`},

	{"hostname without uts", func(s *specs.Spec) { without(s, specs.UTSNamespace); s.Hostname, s.Domainname = "h", "d" },
		`config domainname "d": needs a uts namespace in linux.namespaces, or it would rename the host
config hostname "h": needs a uts namespace in linux.namespaces, or it would rename the host`},
	{"long hostname", func(s *specs.Spec) { s.Hostname = strings.Repeat("h", 65) },
		`config hostname "` + strings.Repeat("h", 65) + `": is longer than the kernel's 64 bytes`},

	{"namespaces", func(s *specs.Spec) {
		s.Linux.Namespaces = []specs.LinuxNamespace{{Type: "pid"}, {Type: "pid", Path: "/x"}, {Type: "net"}, {Type: "ipc", Path: "ns/ipc"}}
	}, `config linux.namespaces[1].type "pid": is listed twice (config-linux.md, Namespaces)
config linux.namespaces[2].type "net": is not a namespace type; use pid, network, ipc, mount, uts, user, cgroup or time
config linux.namespaces[3].path "ns/ipc": must be absolute (config-linux.md, Namespaces)`},
	{"maps without namespace", func(s *specs.Spec) { s.Linux.UIDMappings = ids(0, 0, 1) }, `config linux.uidMappings: needs a user namespace in linux.namespaces`},
	{"namespace without maps", func(s *specs.Spec) { userns(s, nil, nil) },
		`config linux.gidMappings: is required with a new user namespace
config linux.uidMappings: is required with a new user namespace`},
	{"maps", func(s *specs.Spec) { userns(s, ids(0, 0, 0), ids(1, 4294967290, 10)) },
		`config linux.gidMappings: must map the container's id 0, which sets the container up
config linux.gidMappings[0] "1 4294967290 10": goes past the last id, 4294967294
config linux.uidMappings: must map the container's id 0, which sets the container up
config linux.uidMappings[0].size "0": must be at least 1
config process.user.gid "0": is not mapped in linux.gidMappings
config process.user.uid "0": is not mapped in linux.uidMappings`},
	{"offsets without namespace", func(s *specs.Spec) {
		without(s, specs.TimeNamespace)
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {}}
	}, `config linux.timeOffsets: needs a new time namespace in linux.namespaces`},
	{"offsets", func(s *specs.Spec) {
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"realtime": {}, "monotonic": {Nanosecs: 1000000000}}
	}, `config linux.timeOffsets.monotonic.nanosecs "1000000000": must be below 1000000000
config linux.timeOffsets.realtime: is not a clock with an offset; use monotonic or boottime (time_namespaces(7))`},

	{"mount without destination", mounted(specs.Mount{Type: "tmpfs"}), `config mounts[0].destination: is required`},
	{"mount on the root", mounted(specs.Mount{Destination: "/..", Type: "tmpfs"}), `config mounts[0].destination "/..": is the root itself; set root.path instead`},
	{"bind without source", mounted(specs.Mount{Destination: "/a", Type: "bind"}), `config mounts[0].source: is required for a bind mount`},
	{"mount without type", mounted(specs.Mount{Destination: "/a", Source: "b"}), `config mounts[0].type: is required unless options has bind or rbind`},
	{"copy-up elsewhere", mounted(specs.Mount{Destination: "/a", Type: "proc", Options: []string{"tmpcopyup"}}), `config mounts[0].options "tmpcopyup": is for type tmpfs, not proc`},
	{"id-mapped tmpfs", mounted(specs.Mount{Destination: "/a", Type: "tmpfs", UIDMappings: ids(0, 1, 1), GIDMappings: ids(0, 1, 1)}),
		`config mounts[0].uidMappings: only bind mounts can be id-mapped here`},
	{"half a map", mounted(specs.Mount{Destination: "/a", Type: "bind", Source: "/b", UIDMappings: ids(0, 1, 1)}),
		`config mounts[0].uidMappings: must be given together with gidMappings`},
	{"idmap without maps", mounted(specs.Mount{Destination: "/a", Type: "bind", Source: "/b", Options: []string{"bind", "idmap"}}),
		`config mounts[0].options "idmap": needs uidMappings and gidMappings, or a user namespace in linux.namespaces whose own are meant`},
	{"empty map", mounted(specs.Mount{Destination: "/a", Type: "bind", Source: "/b", UIDMappings: ids(0, 1, 0), GIDMappings: ids(0, 1, 0)}),
		`config mounts[0].gidMappings[0].size "0": must be at least 1
config mounts[0].uidMappings[0].size "0": must be at least 1`},
	{"NUL everywhere in a mount", mounted(specs.Mount{Destination: "/a\x00", Type: "t\x00", Source: "s\x00", Options: []string{"o", "p\x00"}}),
		`config mounts[0].destination "/a\x00": has a NUL byte
config mounts[0].options[1] "p\x00": has a NUL byte
config mounts[0].source "s\x00": has a NUL byte
config mounts[0].type "t\x00": has a NUL byte`},

	{"device type", withDevice(specs.LinuxDevice{Path: "/dev/x", Type: "x"}), `config linux.devices[0].type "x": is not a device type; use c, u, b or p (mknod(1))`},
	{"device path", withDevice(specs.LinuxDevice{Path: "x", Type: "p"}), `config linux.devices[0].path "x": must be an absolute path of a file`},
	{"device numbers", withDevice(specs.LinuxDevice{Path: "/x", Type: "c", Major: 4096, Minor: -1}),
		`config linux.devices[0].major "4096": must be between 0 and 4095
config linux.devices[0].minor "-1": must be between 0 and 1048575`},
	{"device twice", func(s *specs.Spec) {
		s.Linux.Devices = []specs.LinuxDevice{{Path: "/x", Type: "c", Major: 1}, {Path: "/y/../x", Type: "c", Major: 2}}
	}, `config linux.devices[1].path "/x": is listed twice with different content`},

	{"masked paths", func(s *specs.Spec) { s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{"proc"}, []string{"/a/.."} },
		`config linux.maskedPaths[0] "proc": must be absolute
config linux.readonlyPaths[0] "/a/..": is the root itself`},
	{"sysctls", func(s *specs.Spec) {
		s.Linux.Sysctl = map[string]string{"vm.swappiness": "1", "net..x": "1", "kernel.hostname": "h", "kernel/domainname": "d"}
		s.Hostname, s.Domainname = "a", "b"
	}, `config linux.sysctl["kernel.hostname"] "h": conflicts with the config's hostname
config linux.sysctl["kernel/domainname"] "d": conflicts with the config's domainname
config linux.sysctl["net..x"] "1": is not a sysctl key
config linux.sysctl["vm.swappiness"] "1": is not in a namespace of its own: it would change the whole host`},
	{"sysctls of the host", func(s *specs.Spec) {
		s.Linux.Namespaces = nil
		s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "fs.mqueue.msg_max": "1", "kernel.msgmax": "1", "kernel.domainname": "d"}
	}, `config linux.sysctl["fs.mqueue.msg_max"] "1": needs an ipc namespace in linux.namespaces, or it would change the host
config linux.sysctl["kernel.domainname"] "d": needs a uts namespace in linux.namespaces, or it would rename the host
config linux.sysctl["kernel.msgmax"] "1": needs an ipc namespace in linux.namespaces, or it would change the host
config linux.sysctl["net.ipv4.ip_forward"] "1": needs a network namespace in linux.namespaces, or it would change the host`},

	{"hooks", func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{Prestart: []specs.Hook{{}}, CreateRuntime: []specs.Hook{{Path: "x"}}, //nolint:staticcheck // in use everywhere
			CreateContainer: []specs.Hook{{Path: "/x", Timeout: number(0)}}, StartContainer: []specs.Hook{{Path: "/x", Env: []string{"A", "=B"}}},
			Poststart: []specs.Hook{{Path: "/\x00"}}, Poststop: []specs.Hook{{Path: "/x", Args: []string{"", "\x00"}}}}
	}, `config hooks.createContainer[0].timeout "0": must be more than 0 seconds
config hooks.createRuntime[0].path "x": must be absolute (config.md, POSIX-platform Hooks)
config hooks.poststart[0].path "/\x00": has a NUL byte
config hooks.poststop[0].args[1] "\x00": has a NUL byte
config hooks.prestart[0].path: is required
config hooks.startContainer[0].env[0] "A": is not of the form NAME=value
config hooks.startContainer[0].env[1] "=B": is not of the form NAME=value`},

	{"scheduler", func(s *specs.Spec) {
		s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_FIFO", Nice: 20, Priority: 100, Runtime: 1, Flags: []specs.LinuxSchedulerFlag{"X"}}
		s.Process.IOPriority = &specs.LinuxIOPriority{Class: "IOPRIO_CLASS_X", Priority: 8}
	}, `config process.ioPriority.class "IOPRIO_CLASS_X": is not an I/O class; use IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE
config process.ioPriority.priority "8": must be between 0 and 7
config process.scheduler.flags[0] "X": is not a scheduling flag; use SCHED_FLAG_RESET_ON_FORK, SCHED_FLAG_RECLAIM, SCHED_FLAG_DL_OVERRUN, SCHED_FLAG_KEEP_POLICY, SCHED_FLAG_KEEP_PARAMS, SCHED_FLAG_UTIL_CLAMP_MIN, SCHED_FLAG_UTIL_CLAMP_MAX
config process.scheduler.nice "20": is for SCHED_OTHER and SCHED_BATCH, not SCHED_FIFO
config process.scheduler.nice "20": must be between -20 and 19
config process.scheduler.priority "100": must be between 1 and 99 for SCHED_FIFO
config process.scheduler.runtime "1": is for SCHED_DEADLINE, not SCHED_FIFO`},
	{"deadline", func(s *specs.Spec) {
		s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_DEADLINE", Runtime: 1000, Deadline: 999, Period: 998, Priority: 1}
	}, `config process.scheduler.deadline "999": must not be below runtime, 1000
config process.scheduler.period "998": must not be below deadline, 999
config process.scheduler.priority "1": is for SCHED_FIFO and SCHED_RR, not SCHED_DEADLINE
config process.scheduler.runtime "1000": must be at least 1024 ns (sched(7))`},
	{"no policy", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{} }, `config process.scheduler.policy: is required`},
	{"ISO", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_ISO"} },
		`host process.scheduler.policy "SCHED_ISO": is reserved by Linux and was never implemented (sched(7))`},
	{"odd policy", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: "X"} },
		`config process.scheduler.policy "X": is not a scheduling policy; use SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE`},
	{"personality", func(s *specs.Spec) {
		s.Linux.Personality = &specs.LinuxPersonality{Domain: "BSD", Flags: []specs.LinuxPersonalityFlag{"F"}}
	}, `config linux.personality.domain "BSD": is not an execution domain; use LINUX, LINUX32
config linux.personality.flags[0] "F": no flags are defined (config-linux.md, Personality)`},
}...)

func compileOn(f *facts.Facts, s *specs.Spec) error {
	_, err := Compile(Input{ID: "x", Bundle: "/b", Spec: s, Facts: f, Gate: true})
	return err
}

func TestPlainHasNoMistake(t *testing.T) {
	if err := compileOn(readFacts(t, "hybrid-6.18"), plain()); err != nil {
		t.Fatal(err)
	}
}

// Every rule names the field, the value and the reason, and nothing else.
func TestEveryRule(t *testing.T) {
	host := readFacts(t, "hybrid-6.18")
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			err := compileOn(host, m.spec())
			if err == nil {
				t.Fatal("accepted")
			}
			if got := strings.TrimSuffix(errorText(t, err), "\n"); got != m.want {
				t.Errorf("got\n%s\nwant\n%s", got, m.want)
			}
		})
	}
}

// Mistakes do not hide each other: those that do not touch the same field are
// all told at once.
func TestAllMistakesAtOnce(t *testing.T) {
	host := readFacts(t, "hybrid-6.18")
	for i, a := range mistakes {
		for _, b := range mistakes[i+1:] {
			if a.name == "no process" || b.name == "no process" || a.name == "no root" || b.name == "no root" {
				continue // what they leave out the other would need
			}
			s := plain()
			a.change(s)
			b.change(s)
			if overlap(a, b) {
				continue
			}
			err := compileOn(host, s)
			if err == nil {
				t.Fatalf("%s and %s: accepted", a.name, b.name)
			}
			got := "\n" + errorText(t, err)
			for _, line := range strings.Split(a.want+"\n"+b.want, "\n") {
				if !strings.Contains(got, "\n"+line+"\n") {
					t.Errorf("%s and %s: missing %q in %s", a.name, b.name, line, got)
				}
			}
		}
	}
}

// overlap says that two mistakes are about the same part of the config.
func overlap(a, b mutation) bool {
	parts := func(m mutation) map[string]bool {
		out := map[string]bool{}
		for _, line := range strings.Split(m.want, "\n") {
			_, rest, _ := strings.Cut(line, " ")
			path := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == ':' || r == '[' })[0]
			switch top, second, _ := strings.Cut(path, "."); {
			case top == "process" && strings.HasPrefix(second, "user"), top == "linux" && strings.HasSuffix(second, "Mappings"),
				second == "namespaces", second == "timeOffsets", second == "sysctl", second == "netDevices", second == "devices", top == "hostname", top == "domainname",
				top == "mounts": // all depend on linux.namespaces
				out["namespaces"] = true
			default:
				out[strings.Join(strings.SplitN(path, ".", 3)[:min(2, strings.Count(path, ".")+1)], ".")] = true
			}
		}
		return out
	}
	pb := parts(b)
	for p := range parts(a) {
		if pb[p] {
			return true
		}
	}
	return false
}

// elsewhere are reasons that other tests of this package assert, with where.
var elsewhere = map[string]string{
	"needs privilege over the file system for an id-mapped mount, which the caller has not (mount_setattr(2))": "TestRefusedToUsers",
	"needs CAP_NET_ADMIN over the runtime's network namespace, from which devices are moved":                   "golden error-net-devices-rootless",
	"is required for a container with this ID, which resctrl has a file of its own for":                        "TestReservedRdtNames",
	"needs Linux 5.12 for id-mapped mounts":                                                                    "golden error-idmap-5.10",
	"needs CAP_SYS_ADMIN, or process.noNewPrivileges (seccomp(2))":                                             "TestSeccompWithoutPrivilege",
	"needs Linux 5.19 (seccomp(2))":                                                                            "TestSeccompFlagsOfKernels",
}

// asking is a profile that has an agent at path.
func asking(path string, flags ...specs.LinuxSeccompFlag) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: path, Flags: flags,
		Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify}}}
}

func TestSeccompFlagsOfKernels(t *testing.T) {
	s := plain()
	s.Linux.Seccomp = asking("/run/agent", specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagWaitKillableRecv)
	want := "host linux.seccomp.flags[1] \"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\": needs Linux 5.19 (seccomp(2))\n"
	if err := compileOn(readFacts(t, "v2-5.10"), s); err == nil || errorText(t, err) != want {
		t.Errorf("on 5.10: got %v, want %q", err, want)
	}
	if err := compileOn(readFacts(t, "hybrid-6.18"), s); err != nil {
		t.Errorf("on 6.18: %v", err)
	}
}

// A filter without no_new_privs needs CAP_SYS_ADMIN, which a user namespace gives.
func TestSeccompWithoutPrivilege(t *testing.T) {
	host := readFacts(t, "hybrid-6.18")
	host.Caps &^= 1 << 21
	s := plain()
	s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"execve"}, Action: specs.ActAllow}}}
	want := "host linux.seccomp: needs CAP_SYS_ADMIN, or process.noNewPrivileges (seccomp(2))\n"
	if err := compileOn(host, s); err == nil || errorText(t, err) != want {
		t.Errorf("got %v", err)
	}
	s.Process.NoNewPrivileges = true
	if err := compileOn(host, s); err != nil {
		t.Errorf("with noNewPrivileges: %v", err)
	}
	s.Process.NoNewPrivileges = false
	userns(s, ids(0, 1000, 1), ids(0, 1000, 1))
	if err := compileOn(host, s); err != nil {
		t.Errorf("in a user namespace: %v", err)
	}
}

// TestNoRuleWithoutATest reads the sources: the reason of every error must stand
// in a test.
func TestNoRuleWithoutATest(t *testing.T) {
	var asserted strings.Builder
	for _, m := range mistakes {
		asserted.WriteString(m.want + "\n")
	}
	fset := token.NewFileSet()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "cgroup") || name == "sched.go" {
			continue // those have tests of their own
		}
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 3 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Add" && sel.Sel.Name != "AddHost" {
				return true
			}
			lit, ok := call.Args[2].(*ast.BasicLit)
			if !ok {
				return true
			}
			why, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			rules++
			if !strings.Contains(asserted.String(), why) && elsewhere[why] == "" {
				t.Errorf("%s: no test has a config that is refused because it %q", fset.Position(call.Pos()), why)
			}
			return true
		})
	}
	if rules < 40 {
		t.Errorf("%d rules found", rules)
	}
}
