//go:build !tare_front

package libcontainer

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/specconv"
)

// files looks at what the config names outside of itself. Fields whose values
// are wrong by themselves are left alone.
func (b *findings) files(bundle string, spec *specs.Spec) {
	f := fileCheck{findings: b, bundle: bundle}
	if spec.Root != nil && spec.Root.Path != "" {
		f.directory("root.path", spec.Root.Path)
	}
	for i := range spec.Mounts {
		if _, ok := specconv.BindSource(bundle, &spec.Mounts[i]); ok {
			f.exists(field.Index("mounts", i)+".source", spec.Mounts[i].Source)
		}
	}
	if h := spec.Hooks; h != nil {
		// The paths of startContainer hooks are the container's, which is not there.
		for _, k := range []struct {
			name string
			list []specs.Hook
		}{
			{"prestart", h.Prestart}, //nolint:staticcheck // in use everywhere
			{"createRuntime", h.CreateRuntime}, {"createContainer", h.CreateContainer}, {"poststart", h.Poststart}, {"poststop", h.Poststop},
		} {
			for i := range k.list {
				f.program(field.Index("hooks."+k.name, i)+".path", k.list[i].Path)
			}
		}
	}
	if spec.Linux != nil {
		for i, ns := range spec.Linux.Namespaces {
			f.namespace(field.Index("linux.namespaces", i)+".path", ns.Path, ns.Type)
		}
	}
}

type fileCheck struct {
	*findings
	bundle string
}

// blame records an error about a file: the config's in the bundle, elsewhere the
// host's.
func (f *fileCheck) blame(path, value, why string) {
	e := &field.Error{Path: path, Value: value, Why: why}
	if host := specconv.FromBundle(f.bundle, value); !strings.HasPrefix(host, f.bundle+"/") {
		e.Class = field.Host
	}
	f.add(SeverityError, e)
}

// stat follows symbolic links. It returns false when there is nothing more to say.
func (f *fileCheck) stat(path, value string, st *unix.Stat_t) bool {
	if value == "" || strings.IndexByte(value, 0) >= 0 || f.blamed(path) {
		return false
	}
	switch err := unix.Stat(specconv.FromBundle(f.bundle, value), st); err {
	case nil:
		return true
	case unix.EACCES, unix.EPERM:
		f.unseen(path, value, err)
	case unix.ENOENT:
		f.blame(path, value, "does not exist")
	default:
		f.blame(path, value, "cannot be used: "+err.Error())
	}
	return false
}

// unseen is a file that only a more privileged caller can judge.
func (f *fileCheck) unseen(path, value string, err error) {
	f.add(SeverityWarning, &field.Error{Path: path, Value: value, Why: "cannot be checked: " + err.Error(), Class: field.Host})
}

func (f *fileCheck) exists(path, value string) {
	var st unix.Stat_t
	f.stat(path, value, &st)
}

func (f *fileCheck) directory(path, value string) {
	var st unix.Stat_t
	if f.stat(path, value, &st) && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		f.blame(path, value, "is not a directory")
	}
}

func (f *fileCheck) program(path, value string) {
	var st unix.Stat_t
	if !strings.HasPrefix(value, "/") || !f.stat(path, value, &st) {
		return
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		f.blame(path, value, "is not a regular file")
	case st.Mode&0o111 == 0:
		f.blame(path, value, fmt.Sprintf("is not executable (mode %#o)", fs.FileMode(st.Mode&0o777)))
	default:
		if err := unix.Faccessat(unix.AT_FDCWD, value, unix.X_OK, unix.AT_EACCESS); err != nil {
			f.blame(path, value, "cannot be executed: "+err.Error())
		}
	}
}

// namespaceFlags are what the kernel calls the types of namespaces.
var namespaceFlags = [...]struct {
	typ  specs.LinuxNamespaceType
	flag int
}{
	{specs.PIDNamespace, unix.CLONE_NEWPID}, {specs.NetworkNamespace, unix.CLONE_NEWNET}, {specs.MountNamespace, unix.CLONE_NEWNS},
	{specs.IPCNamespace, unix.CLONE_NEWIPC}, {specs.UTSNamespace, unix.CLONE_NEWUTS}, {specs.UserNamespace, unix.CLONE_NEWUSER},
	{specs.CgroupNamespace, unix.CLONE_NEWCGROUP}, {specs.TimeNamespace, unix.CLONE_NEWTIME},
}

// namespace opens the file only when it is known to be one of a namespace: to
// open another kind of file can do things.
func (f *fileCheck) namespace(path, value string, typ specs.LinuxNamespaceType) {
	var st unix.Stat_t
	if !strings.HasPrefix(value, "/") || !f.stat(path, value, &st) {
		return
	}
	fd, err := unix.Open(value, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		f.unseen(path, value, err)
		return
	}
	defer unix.Close(fd)
	var sfs unix.Statfs_t
	if err := unix.Fstatfs(fd, &sfs); err != nil {
		f.unseen(path, value, err)
		return
	}
	if sfs.Type != unix.NSFS_MAGIC {
		f.blame(path, value, "is not the file of a namespace")
		return
	}
	ns, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		f.unseen(path, value, err)
		return
	}
	defer unix.Close(ns)
	is, err := unix.IoctlRetInt(ns, unix.NS_GET_NSTYPE)
	if err != nil {
		f.unseen(path, value, err)
		return
	}
	for _, n := range namespaceFlags {
		if n.flag == is && n.typ != typ {
			f.blame(path, value, "is a namespace of type "+string(n.typ)+", not "+string(typ))
		}
	}
}
