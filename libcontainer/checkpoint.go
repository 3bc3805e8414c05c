//go:build !tare_front

package libcontainer

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/cgroup"
	"github.com/tare-oci/tare/internal/criu"
	"github.com/tare-oci/tare/internal/ociconfig"
	"github.com/tare-oci/tare/internal/state"
)

// CriuOptions are what Checkpoint and Restore have in common. What each of the
// switches means stands in criu(8) under the same name.
type CriuOptions struct {
	Criu     string // the program; "" for criu in PATH
	ImageDir string // absolute; where the images are
	WorkDir  string // absolute; where the log goes, "" for ImageDir

	TCPEstablished bool
	ExtUnixSockets bool
	ShellJob       bool
	FileLocks      bool
	AutoDedup      bool
	LazyPages      bool   // of Checkpoint, memory is served at PageServer; of Restore, it comes by CRIU's lazy-pages.socket in WorkDir
	EmptyNetwork   bool   // --empty-ns network
	NetworkLock    string // iptables, nftables or skip; "" for CRIU's own choice
	ManageCgroups  string // soft, which "" means, full, strict or ignore
}

// CheckpointOptions says how to write a container to files.
type CheckpointOptions struct {
	CriuOptions
	// LeaveRunning lets the container run on; without, it is deleted.
	LeaveRunning bool
	// PreDump writes only memory, and lets the container run on: the next
	// checkpoint, for which this is the parent, has less to do while it stands.
	PreDump         bool
	ParentPath      string   // of an earlier one, relative to ImageDir
	PageServer      string   // ADDRESS:PORT of the `criu page-server` that memory is sent to; of LazyPages, where it is served
	StatusFile      *os.File // with LazyPages: a byte is written when memory is served; nil for none
	TCPSkipInFlight bool
	LinkRemap       bool
	// Cancel may be closed to give it up: the error is ErrInterrupted, unless CRIU
	// was past the point up to which it can undo its work. A nil one never is.
	Cancel <-chan struct{}
}

// ErrInterrupted says that a checkpoint was given up.
var ErrInterrupted = errors.New("interrupted: the container is as it was")

// interrupted is ErrInterrupted once Cancel is closed.
func (o *CheckpointOptions) interrupted() error {
	select {
	case <-o.Cancel:
		return ErrInterrupted
	default:
		return nil
	}
}

// The files in the image directory that are not CRIU's, and those of its logs.
const (
	descriptorsFile = "descriptors.json" // names of the standard streams; runc's, of pipes, are the same
	dumpLog         = "dump.log"
	restoreLog      = "restore.log"
)

// Checkpoint writes the processes of a running or paused container to files. When
// it fails the container is as it was. Hooks of a container that is deleted
// afterwards may fail as they may in Delete.
func (c *Container) Checkpoint(o CheckpointOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	rec, err := c.locked()
	if err != nil {
		return err
	}
	err = checkpoint(rec, &o)
	rec.Unlock()
	if err != nil {
		return fmt.Errorf("checkpoint failed: %w", err)
	}
	if o.LeaveRunning || o.PreDump {
		return nil
	}
	return c.Delete(DeleteOptions{Force: true})
}

func (o *CheckpointOptions) check() error {
	if filepath.IsAbs(o.ParentPath) {
		return fmt.Errorf("--parent-path %q: must be relative to the image directory", o.ParentPath)
	}
	if _, err := pageServer(o.PageServer); err != nil {
		return err
	}
	if o.LazyPages && o.PageServer == "" {
		return errors.New("--lazy-pages: needs --page-server, the ADDRESS:PORT at which memory is served")
	}
	return o.CriuOptions.check()
}

func (o *CriuOptions) check() error {
	if o.ManageCgroups == "" {
		o.ManageCgroups = "soft"
	}
	if _, ok := criu.CgroupModes[o.ManageCgroups]; !ok {
		return fmt.Errorf("--manage-cgroups-mode %q: use soft, full, strict or ignore", o.ManageCgroups)
	}
	if _, ok := criu.NetworkLocks[o.NetworkLock]; !ok && o.NetworkLock != "" {
		return fmt.Errorf("--network-lock %q: use iptables, nftables or skip", o.NetworkLock)
	}
	if o.WorkDir == "" {
		o.WorkDir = o.ImageDir
	}
	if os.Geteuid() != 0 {
		return errors.New("checkpoint and restore need root: CRIU does")
	}
	return nil
}

func checkpoint(rec *state.Record, o *CheckpointOptions) error {
	seen := observe(rec)
	status := derive(seen)
	if seen.gate {
		status = Created // and paused, perhaps
	}
	if err := require(opCheckpoint, status, rec.ID); err != nil {
		return err
	}
	config, err := rec.ReadConfig()
	if err != nil {
		return err
	}
	spec, errs := ociconfig.DecodeSpec(config)
	if err := errs.Err(); err != nil {
		return fmt.Errorf("the config in the record: %w", err)
	}
	opts, streams, err := o.dumpStill(rec, spec, status)
	if err != nil {
		return err
	}
	files, err := openDirs(&o.CriuOptions, opts)
	if err != nil {
		return err
	}
	defer closeAll(files)
	kind := criu.Dump
	if o.PreDump {
		kind = criu.PreDump
	}
	opts.LogFile = new(dumpLog)
	p := criu.Program{Path: o.Criu}
	if err := o.checkKnown(p, o.newerOfCheckpoint()...); err != nil {
		return err
	}
	s, err := criu.Start(p)
	if err != nil {
		return err
	}
	// Before the processes are gone, because it may fail.
	if err = writeStreams(o.ImageDir, streams); err == nil {
		err = s.Do(kind, opts, criu.Events{Step: o.interrupted})
	}
	if ended := s.Close(); err == nil && ended != nil && !o.PreDump {
		err = fmt.Errorf("criu: %w", ended)
	}
	if err != nil {
		removeStreams(o.ImageDir)
		if status != Paused {
			thaw(rec) // one that was killed has left them frozen
		}
	}
	return criu.Explain(err, filepath.Join(o.WorkDir, dumpLog))
}

// dumpStill is dump while the container stands still, so that what it says is of one
// moment. CRIU freezes it by itself.
func (o *CheckpointOptions) dumpStill(rec *state.Record, spec *specs.Spec, status Status) (*criu.Options, []string, error) {
	g, err := freezer(rec)
	if err != nil || status == Paused {
		return o.dump(rec, spec)
	}
	if err := cgroup.Freeze(g.Mount, g.Path, time.Now().Add(freezeWait), o.Cancel); err != nil {
		return nil, nil, cmp.Or(o.interrupted(), err)
	}
	opts, streams, err := o.dump(rec, spec)
	err = errors.Join(cmp.Or(o.interrupted(), err), cgroup.Thaw(g.Mount, g.Path, time.Now().Add(freezeWait)))
	return opts, streams, err
}

// dump is the request, and the names of the standard streams.
func (o *CheckpointOptions) dump(rec *state.Record, spec *specs.Spec) (*criu.Options, []string, error) {
	opts, err := o.common(spec)
	if err != nil {
		return nil, nil, err
	}
	opts.Pid = new(int32(rec.Pid))
	opts.LeaveRunning = new(o.LeaveRunning)
	opts.TcpSkipInFlight = new(o.TCPSkipInFlight)
	opts.LinkRemap = new(o.LinkRemap)
	if o.StatusFile != nil {
		opts.StatusFd = new(int32(o.StatusFile.Fd())) // which CRIU opens by /proc, as the directories
	}
	opts.Root = new(rec.Rootfs)
	if o.PreDump || o.ParentPath != "" {
		opts.TrackMem = new(true)
	}
	if o.ParentPath != "" {
		opts.ParentImg = new(o.ParentPath)
	}
	if opts.Ps, err = pageServer(o.PageServer); err != nil {
		return nil, nil, err
	}
	if g, err := freezer(rec); err == nil {
		opts.FreezeCgroup = new(g.Mount + g.Path)
	}
	for _, n := range externalNamespaces(spec) {
		var st unix.Stat_t
		if err := unix.Stat(n.path, &st); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", n.path, err)
		}
		opts.External = append(opts.External, fmt.Sprintf("%s[%d]:%s", n.kind, st.Ino, n.key))
	}
	points, err := mountPoints(rec.Pid)
	if err != nil {
		return nil, nil, err
	}
	opts.ExtMnt = mountsOutside(rec, spec, points)
	pids, err := processes(rec)
	if err != nil {
		return nil, nil, err
	}
	streams, err := nameStreams(rec.Pid, pids, points)
	for _, name := range streams {
		if strings.HasPrefix(name, "file[") {
			opts.External = append(opts.External, name)
		}
	}
	return opts, streams, err
}

// common is what both requests say.
func (o *CriuOptions) common(spec *specs.Spec) (*criu.Options, error) {
	opts := &criu.Options{
		LogLevel:          new(int32(4)),
		NotifyScripts:     new(true),
		ManageCgroups:     new(true), // for versions that do not know the modes
		ManageCgroupsMode: new(criu.CgroupModes[o.ManageCgroups]),
		EvasiveDevices:    new(true),
		// Of a terminal of the container's own the other end is outside. One that is
		// the caller's is inherited as a whole, and CRIU 3.17 dies of both at once.
		OrphanPtsMaster: new(!o.ShellJob || spec.Process != nil && spec.Process.Terminal),
		TcpEstablished:  new(o.TCPEstablished),
		ExtUnixSk:       new(o.ExtUnixSockets),
		ShellJob:        new(o.ShellJob),
		FileLocks:       new(o.FileLocks),
		AutoDedup:       new(o.AutoDedup),
		LazyPages:       new(o.LazyPages),
	}
	if o.NetworkLock != "" {
		opts.NetworkLock = new(criu.NetworkLocks[o.NetworkLock])
	}
	if o.EmptyNetwork {
		opts.EmptyNs = new(uint32(unix.CLONE_NEWNET))
	}
	file, err := criuConfig(spec.Annotations)
	if err != nil {
		return nil, err
	}
	if file != "" {
		opts.ConfigFile = new(file)
	}
	return opts, nil
}

// The annotation that names a file with more options for CRIU, and the files that
// are read where it is not there.
const criuAnnotation = "org.criu.config"

var criuConfigs = [...]string{"/etc/criu/tare.conf", "/etc/criu/runc.conf"}

// criuConfig is the file with more options; "" for none.
func criuConfig(annotations map[string]string) (string, error) {
	if file, ok := annotations[criuAnnotation]; ok {
		if file == "" {
			return "", nil
		}
		if _, err := os.Stat(file); err != nil {
			return "", fmt.Errorf("annotations[%q]: %w", criuAnnotation, err)
		}
		return file, nil
	}
	for _, file := range criuConfigs {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", nil
}

// pageServer reads ADDRESS:PORT; nil for "".
func pageServer(s string) (*criu.PageServer, error) {
	if s == "" {
		return nil, nil
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return nil, fmt.Errorf("--page-server %q: use ADDRESS:PORT", s)
	}
	port, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil || s[:i] == "" {
		return nil, fmt.Errorf("--page-server %q: use ADDRESS:PORT", s)
	}
	return &criu.PageServer{Address: new(s[:i]), Port: new(int32(port))}, nil
}

// openDirs opens the directories of a request. They are descriptors of this
// program: CRIU reads them by /proc of the process at the other end.
func openDirs(o *CriuOptions, opts *criu.Options) ([]*os.File, error) {
	var files []*os.File
	for _, d := range []struct {
		path string
		to   **int32
	}{{o.ImageDir, &opts.ImagesDirFd}, {o.WorkDir, &opts.WorkDirFd}} {
		if err := os.MkdirAll(d.path, 0o700); err != nil {
			closeAll(files)
			return nil, err
		}
		f, err := os.Open(d.path)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		*d.to = new(int32(f.Fd()))
		files = append(files, f)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
