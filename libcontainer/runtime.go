package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/ociconfig"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
	"github.com/tare-oci/tare/specconv"
)

// Runtime is a set of containers that share a state directory. It holds no
// resources and may be copied.
type Runtime struct {
	root        string
	dialSystemd DialSystemd // nil without
}

// New returns the runtime whose state lies in root, an absolute path. The
// directory is made by the first Create.
func New(root string) *Runtime { return &Runtime{root: root} }

// Root is the state directory.
func (r *Runtime) Root() string { return r.root }

// CreateOptions says what to create. The zero value of every field but ID and
// Bundle is the usual choice.
type CreateOptions struct {
	ID     string
	Bundle string // absolute path of the directory with config.json
	// Spec is used instead of config.json when it is not nil.
	Spec *specs.Spec
	// Config is read instead of config.json when it is not empty.
	Config string

	// Stdin, Stdout and Stderr are given to the process; nil means the caller's.
	Stdin, Stdout, Stderr *os.File

	// BeforeStart is called once, before anything of the container's own runs: the
	// first hook, which may take as long as it likes, or the program. nil is fine.
	BeforeStart func()

	PidFile       string // absolute; written last, when everything is set up
	ConsoleSocket string // absolute; where the terminal is sent
	PidfdSocket   string // absolute; where a pidfd of the process is sent
	// Detach says that the caller of Run does not stay with the container: a
	// terminal then needs a ConsoleSocket.
	Detach bool
	// ConsoleSize is asked for the size of a terminal that the config gives none.
	ConsoleSize func() *specs.Box
	// Program is what the caller calls itself in a message; "" is tare.
	Program      string
	NoPivot      bool
	NoNewKeyring bool
	PreserveFDs  int // descriptors that the process inherits, from 3 on behind those of ListenFDs
	// ListenFDs counts the sockets from descriptor 3 on that the process inherits,
	// and is told of, by the protocol of sd_listen_fds(3); ListenNames are their names.
	ListenFDs   int
	ListenNames string
	// NotifySocket is where the caller is told that the program is ready
	// (sd_notify(3)). Start and Run then wait until it says so.
	NotifySocket  string
	SystemdCgroup bool
	NoCgroup      bool // --cgroup-manager=disabled
	// SeccompCompiler is CompilerTare, which "" means, or CompilerLibseccomp.
	SeccompCompiler string

	// dialled keeps the connection to ConsoleSocket for another attempt.
	dialled *connection
}

// maxConfig bounds config.json; decoded, a config can take fifty times as much.
const maxConfig = 16 << 20

// loadSpec reads and decodes a config.json, and returns its bytes too.
func loadSpec(path string) (*specs.Spec, []byte, error) {
	data, err := sys.ReadFile(path, maxConfig)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("JSON specification file config.json not found: %w", err)
		}
		return nil, nil, err
	}
	spec, errs := ociconfig.DecodeSpec(data)
	if err := errs.Err(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return spec, data, nil
}

// Plan compiles what Create would do, without doing it.
func (r *Runtime) Plan(o CreateOptions, gate bool) (*specconv.Result, error) {
	if err := state.CheckID(o.ID); err != nil {
		return nil, err
	}
	spec, config, err := o.load()
	if err != nil {
		return nil, err
	}
	f, conn, err := r.facts(&o, wantOf(spec))
	if err != nil {
		return nil, err
	}
	if conn != nil {
		conn.Close()
	}
	var missing string
	if f.Systemd != nil {
		// A plan is only looked at, and can be without the host that would run it.
		missing, f.Systemd.Missing = f.Systemd.Missing, ""
	}
	res, err := o.compile(spec, config, f, gate)
	if err == nil && missing != "" {
		res.Warnings = append(res.Warnings, missing+"; the plan is for a recent one")
	}
	return res, err
}

// sized gives a terminal without a size that of the caller's own.
func (o *CreateOptions) sized(spec *specs.Spec) *specs.Spec {
	p := spec.Process
	if p == nil || !p.Terminal || p.ConsoleSize != nil || o.ConsoleSize == nil {
		return spec
	}
	s, q := *spec, *p
	s.Process, q.ConsoleSize = &q, o.ConsoleSize()
	return &s
}

// load reads the config, and returns it with its bytes.
func (o *CreateOptions) load() (*specs.Spec, []byte, error) {
	if o.Spec != nil {
		data, err := encodeSpec(o.Spec)
		return o.Spec, data, err
	}
	if o.Config != "" {
		return loadSpec(o.Config)
	}
	if err := checkBundle(o.Bundle); err != nil {
		return nil, nil, err
	}
	return loadSpec(o.Bundle + "/config.json")
}

func (o *CreateOptions) compile(spec *specs.Spec, config []byte, f *facts.Facts, gate bool) (*specconv.Result, error) {
	filter, err := foreignFilter(o.SeccompCompiler, spec, config)
	if err != nil {
		return nil, err
	}
	return specconv.Compile(specconv.Input{ID: o.ID, Bundle: o.Bundle, Spec: spec, Facts: f, Gate: gate,
		ConsoleSocket: o.ConsoleSocket, PidfdSocket: o.PidfdSocket,
		NoPivot: o.NoPivot, NoNewKeyring: o.NoNewKeyring, PreserveFDs: o.ListenFDs + o.PreserveFDs,
		SystemdCgroup: o.SystemdCgroup, NoCgroup: o.NoCgroup, Filter: filter})
}

func checkBundle(path string) error {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return &fs.PathError{Op: "bundle", Path: path, Err: err}
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return &fs.PathError{Op: "bundle", Path: path, Err: syscall.ENOTDIR}
	}
	return nil
}
