package probe

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/sys"
)

const root = "/sys/fs/cgroup"

// cgroups finds the mounted hierarchies. /proc/self/cgroup names them, and one
// statfs(2) at the place where everybody mounts them confirms each; mountinfo,
// which costs milliseconds on hosts with thousands of mounts, is read only when
// one is not there.
func cgroups() facts.Cgroup {
	var c facts.Cgroup
	magic := statfsType(root)
	c.Unified = magic == unix.CGROUP2_SUPER_MAGIC
	elsewhere := ""
	for _, line := range strings.Split(sys.Text("/proc/self/cgroup"), "\n") {
		id, rest, ok1 := strings.Cut(line, ":")
		name, own, ok2 := strings.Cut(rest, ":")
		if !ok1 || !ok2 {
			continue
		}
		h := facts.Hierarchy{Name: name, Own: own}
		if id == "0" && name == "" {
			h.V2 = true
			if h.Mount = unifiedMount(magic); h.Mount != "" {
				h.Controllers = strings.Fields(sys.Text(h.Mount + "/cgroup.controllers"))
				c.Hierarchies = append(c.Hierarchies, h)
			}
			continue
		}
		if !strings.HasPrefix(name, "name=") {
			h.Controllers = strings.Split(name, ",")
		}
		h.Mount = v1Mount(strings.TrimPrefix(name, "name="))
		if h.Mount == "" {
			if elsewhere == "" {
				elsewhere = sys.Text("/proc/self/mountinfo")
			}
			h.Mount = findMount(elsewhere, name)
		}
		if h.Mount != "" {
			c.Hierarchies = append(c.Hierarchies, h)
		}
	}
	return c
}

// delegated finds out in which hierarchies the caller may make cgroups, and which
// v2 controllers his own cgroup has.
func delegated(c *facts.Cgroup) {
	for i := range c.Hierarchies {
		h := &c.Hierarchies[i]
		dir := strings.TrimSuffix(h.Mount+h.Own, "/")
		h.Writable = unix.Access(dir, unix.W_OK|unix.X_OK) == nil
		if h.V2 {
			// A process moves only where it may write to the cgroup.procs of what lies
			// above both places (cgroups(7), Delegation containment).
			h.Writable = h.Writable && unix.Access(dir+"/cgroup.procs", unix.W_OK) == nil
			h.Controllers = strings.Fields(sys.Text(dir + "/cgroup.controllers"))
		}
	}
}

func unifiedMount(magic int64) string {
	if magic == unix.CGROUP2_SUPER_MAGIC {
		return root
	}
	if statfsType(root+"/unified") == unix.CGROUP2_SUPER_MAGIC {
		return root + "/unified"
	}
	return ""
}

func v1Mount(name string) string {
	if p := root + "/" + name; statfsType(p) == unix.CGROUP_SUPER_MAGIC {
		return p
	}
	return ""
}

func statfsType(path string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return 0
	}
	return int64(st.Type)
}

// findMount looks a v1 hierarchy up in mountinfo (proc(5)) by its controllers,
// which are among the options of the superblock, in any order.
func findMount(info, name string) string {
	for _, line := range strings.Split(info, "\n") {
		left, right, ok := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 5 || len(r) < 3 || r[0] != "cgroup" || l[3] != "/" {
			continue
		}
		opts := strings.Split(r[2], ",")
		all := true
		for _, want := range strings.Split(name, ",") {
			found := false
			for _, o := range opts {
				found = found || o == want
			}
			all = all && found
		}
		if all {
			return unescape(l[4])
		}
	}
	return ""
}

// unescape undoes mountinfo's octal escapes (\040 for a space).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
