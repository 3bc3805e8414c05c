package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// report is what the prober prints (tests/prober/report.c), as far as it is
// compared.
type report struct {
	Results     []map[string]any
	Pid, Sid    int
	Args, Env   []string
	UID, GID    []int
	Groups      []int
	Umask       int
	Caps        map[string]string
	NoNewPrivs  int
	Seccomp     int
	Securebits  int
	Dumpable    int
	Pdeathsig   int
	Subreaper   int
	Rlimits     []string // soft and hard of each, by number
	Signals     map[string]string
	Policy      int
	Nice        int
	Ioprio      int
	Personality int
	Boottime    int64
	Hostname    string
	Domainname  string
	Cwd         string
	Fds         []struct{ Fd int }
	Namespaces  map[string]string
	Root        string
	Devices     []map[string]any
	Mountinfo   string
	OomScoreAdj string
	UIDMap      string `json:"uidMap"`
	GIDMap      string `json:"gidMap"`
}

var limitNames = [...]string{"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING",
	"MSGQUEUE", "NICE", "RTPRIO", "RTTIME"}

// ofLibc are signals 32 and 33. glibc keeps them to itself, so that the others
// cannot reset what their caller has made of them, and GNU make ignores one; tare
// does reset them.
const ofLibc = 3 << 31

// aspects are what is compared, each with its value as text. Names are those of
// the config where it has one for the thing.
func (o *outcome) aspects() map[string]string {
	r := o.report
	a := map[string]string{
		"exit code": strconv.Itoa(o.code), "process.args": fmt.Sprint(r.Args), "process.env": sorted(r.Env), "process.cwd": r.Cwd,
		"process.user.uid": fmt.Sprint(r.UID), "process.user.gid": fmt.Sprint(r.GID), "process.user.additionalGids": sorted(r.Groups),
		"process.user.umask": fmt.Sprintf("%#o", r.Umask), "process.noNewPrivileges": strconv.Itoa(r.NoNewPrivs), "seccomp mode": strconv.Itoa(r.Seccomp),
		"securebits": strconv.Itoa(r.Securebits), "dumpable": strconv.Itoa(r.Dumpable), "pdeathsig": strconv.Itoa(r.Pdeathsig), "subreaper": strconv.Itoa(r.Subreaper),
		"session leader": strconv.FormatBool(r.Pid == r.Sid), "scheduler": strconv.Itoa(r.Policy), "nice": strconv.Itoa(r.Nice), "ioPriority": strconv.Itoa(r.Ioprio),
		"personality": fmt.Sprintf("%#x", r.Personality), "hostname": r.Hostname, "domainname": r.Domainname, "root": r.Root,
		"oomScoreAdj": strings.TrimSpace(r.OomScoreAdj), "uidMappings": fields(r.UIDMap), "gidMappings": fields(r.GIDMap),
		"boottime": strconv.FormatBool(r.Boottime > 1<<20),
	}
	var fds []int
	for _, f := range r.Fds {
		fds = append(fds, f.Fd)
	}
	a["descriptors"] = sorted(fds)
	for set, value := range r.Caps {
		a["capabilities."+set] = value
	}
	for kind, value := range r.Signals {
		mask, _ := strconv.ParseUint(value, 16, 64)
		a["signals."+kind] = fmt.Sprintf("%#x", mask&^ofLibc)
	}
	for i, name := range limitNames {
		if 2*i+1 < len(r.Rlimits) {
			a["rlimits."+name] = r.Rlimits[2*i] + " of " + r.Rlimits[2*i+1]
		}
	}
	for typ, link := range r.Namespaces {
		host, _ := os.Readlink("/proc/self/ns/" + typ)
		a["namespaces."+typ] = map[bool]string{true: "the host's", false: "its own"}[link == host]
	}
	for _, d := range r.Devices {
		a["devices."+fmt.Sprint(d["name"])] = fileText(d)
	}
	for _, x := range r.Results {
		a["does "+fmt.Sprint(x["op"])] = fileText(x)
	}
	mounts(a, r.Mountinfo)
	return a
}

// fileText is what counts of a file: not its inode, device and times.
func fileText(m map[string]any) string {
	var out []string
	for _, key := range []string{"err", "type", "mode", "uid", "gid", "major", "minor", "link", "data"} {
		if v, ok := m[key]; ok {
			if key == "mode" {
				n, _ := v.(float64)
				v = fmt.Sprintf("%#o", int(n))
			}
			out = append(out, fmt.Sprintf("%s=%v", key, v))
		}
	}
	return strings.Join(out, " ")
}

// mounts adds an aspect for each mount point of a mountinfo (proc(5)): file
// system, its options without those that name a place of the host, and
// propagation. What lies over another mount at the same place is numbered.
func mounts(a map[string]string, info string) {
	for line := range strings.Lines(info) {
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 6 || len(r) < 3 {
			continue
		}
		propagation := "private"
		for _, tag := range l[6:] {
			kind, _, _ := strings.Cut(tag, ":")
			propagation = map[string]string{"shared": "shared", "master": "slave", "unbindable": "unbindable"}[kind]
		}
		name := "mounts " + l[4]
		for n := 2; a[name] != ""; n++ {
			name = "mounts " + l[4] + " (" + strconv.Itoa(n) + ")"
		}
		a[name] = r[0] + " " + optionSet(l[5])
		a["propagation of "+strings.TrimPrefix(name, "mounts ")] = propagation
		if r[0] != "ext4" && r[0] != "xfs" && r[0] != "btrfs" && r[0] != "overlay" { // of the host's file systems nothing is decided here
			a["file system of "+strings.TrimPrefix(name, "mounts ")] = optionSet(r[2])
		}
	}
}

func optionSet(s string) string {
	o := strings.Split(s, ",")
	o = slices.DeleteFunc(o, func(s string) bool { return strings.HasPrefix(s, "inode64") || strings.HasPrefix(s, "huge") })
	slices.Sort(o)
	return strings.Join(o, ",")
}

func fields(s string) string { return strings.Join(strings.Fields(s), " ") }

func sorted[T any](list []T) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = fmt.Sprint(v)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
