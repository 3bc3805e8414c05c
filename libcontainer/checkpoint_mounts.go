//go:build !tare_front

package libcontainer

import (
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/criu"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
	"github.com/tare-oci/tare/specconv"
)

// CRIU writes down what lies in the container's mount namespace. What comes from
// outside it is told by name: the place of a mount gets a name when the images are
// written, and the name a source when they are read. The names are those that runc
// uses, so that either reads the images of the other.

// maskName is the name of what covers a masked file.
const maskName = "/dev/null"

// mountsOutside names the mounts of the container whose content is the host's.
func mountsOutside(rec *state.Record, spec *specs.Spec, points []mountPoint) []*criu.Mount {
	var out []*criu.Mount
	named := map[string]bool{}
	name := func(at, name string) {
		if at != "" && !named[at] {
			named[at] = true
			out = append(out, &criu.Mount{Key: new(at), Val: new(name)})
		}
	}
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		if _, ok := specconv.BindSource(rec.Bundle, m); ok {
			at := path.Clean("/" + m.Destination)
			name(placeIn(rec.Pid, at, points), at)
		}
	}
	for _, p := range points {
		switch {
		case p.kind == "cgroup":
			name(p.at, p.at)
		case p.kind == "devtmpfs" && p.root == "/null" && p.at != maskName && masks(spec, p.at):
			name(p.at, maskName)
		case p.kind == "devtmpfs" && p.root != "/": // a node of the host, bound in a user namespace
			name(p.at, p.at)
		}
	}
	return out
}

func masks(spec *specs.Spec, at string) bool {
	if spec.Linux == nil {
		return false
	}
	for _, p := range spec.Linux.MaskedPaths {
		if path.Clean(p) == at {
			return true
		}
	}
	return false
}

// mountPoint is a line of mountinfo (proc_pid_mountinfo(5)).
type mountPoint struct {
	id             string // which fdinfo names
	root, at, kind string // of the file system; in the process's root; the type
}

// mountPoints are the mounts that a process sees.
func mountPoints(pid int) ([]mountPoint, error) {
	name := "/proc/" + strconv.Itoa(pid) + "/mountinfo"
	text, err := sys.ReadFile(name, maxConfig)
	if err != nil {
		return nil, err
	}
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var out []mountPoint
	for line := range strings.Lines(string(text)) {
		head, tail, _ := strings.Cut(line, " - ")
		f, kind := strings.Fields(head), strings.Fields(tail)
		if len(f) > 4 && len(kind) > 0 {
			out = append(out, mountPoint{f[0], plain.Replace(f[3]), plain.Replace(f[4]), kind[0]})
		}
	}
	return out, nil
}

// placeIn is where a path of the config leads to in the container, through its
// links; "" if nothing is mounted there any more.
func placeIn(pid int, at string, points []mountPoint) string {
	root, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(root)
	fd, err := openInRoot(root, at)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	place := realPath("/proc/self/fd/" + strconv.Itoa(fd))
	for _, p := range points {
		if p.at == place {
			return place
		}
	}
	return ""
}

// sourcesOutside says where each name leads to when the images are read.
func sourcesOutside(rec *state.Record, spec *specs.Spec) []*criu.Mount {
	var out []*criu.Mount
	add := func(name, source string) { out = append(out, &criu.Mount{Key: new(name), Val: new(source)}) }
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		at := path.Clean("/" + m.Destination)
		if source, ok := specconv.BindSource(rec.Bundle, m); ok {
			add(at, source)
			continue
		}
		if m.Type != "cgroup" {
			continue
		}
		for j := range rec.Cgroups {
			if g := &rec.Cgroups[j]; !g.V2 {
				add(at+"/"+path.Base(g.Mount), g.Mount+g.Path)
			}
		}
	}
	add(maskName, maskName)
	for _, node := range []string{"/dev/full", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/tty"} {
		add(node, node)
	}
	if spec.Linux != nil {
		for i := range spec.Linux.Devices {
			if at := path.Clean(spec.Linux.Devices[i].Path); at != maskName {
				add(at, at)
			}
		}
	}
	return out
}

// namespace is one that is not the container's own, which CRIU is to leave alone.
type namespace struct {
	kind string // as in /proc/PID/ns
	path string
	key  string // its name in the images
}

// externalNamespaces are the joined ones of the types that CRIU can be told of.
func externalNamespaces(spec *specs.Spec) []namespace {
	if spec.Linux == nil {
		return nil
	}
	var out []namespace
	for _, n := range spec.Linux.Namespaces {
		switch {
		case n.Path == "":
		case n.Type == specs.NetworkNamespace:
			out = append(out, namespace{"net", n.Path, "extRootNetNS"})
		case n.Type == specs.PIDNamespace:
			out = append(out, namespace{"pid", n.Path, "extRootPidNS"})
		}
	}
	return out
}
