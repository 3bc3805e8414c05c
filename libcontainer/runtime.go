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
	"github.com/tare-oci/tare/internal/probe"
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
	NoPivot       bool
	NoNewKeyring  bool
	PreserveFDs   int // descriptors 3 and up that the process inherits
	SystemdCgroup bool
	NoCgroup      bool // --cgroup-manager=disabled
}

// maxConfig bounds config.json; decoded, a config can take fifty times as much.
const maxConfig = 16 << 20

// LoadSpec reads and decodes a config.json.
func LoadSpec(path string) (*specs.Spec, error) {
	data, err := sys.ReadFile(path, maxConfig)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("JSON specification file config.json not found: %w", err)
		}
		return nil, err
	}
	spec, errs := ociconfig.DecodeSpec(data)
	if err := errs.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return spec, nil
}

// RootlessSpec is specconv.Default for the user who runs this program, on this host.
func RootlessSpec() *specs.Spec {
	spec := specconv.Default()
	specconv.Rootless(spec, probe.Host(probe.Want{}))
	return spec
}

// Plan compiles what Create would do, without doing it.
func (r *Runtime) Plan(o CreateOptions, gate bool) (*specconv.Result, error) {
	if err := state.CheckID(o.ID); err != nil {
		return nil, err
	}
	spec, err := o.load()
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
	res, err := o.compile(spec, f, gate)
	if err == nil && missing != "" {
		res.Warnings = append(res.Warnings, missing+"; the plan is for a recent one")
	}
	return res, err
}

// load reads the config.
func (o *CreateOptions) load() (*specs.Spec, error) {
	if o.Spec != nil {
		return o.Spec, nil
	}
	if o.Config != "" {
		return LoadSpec(o.Config)
	}
	if err := checkBundle(o.Bundle); err != nil {
		return nil, err
	}
	return LoadSpec(o.Bundle + "/config.json")
}

func (o *CreateOptions) compile(spec *specs.Spec, f *facts.Facts, gate bool) (*specconv.Result, error) {
	return specconv.Compile(specconv.Input{ID: o.ID, Bundle: o.Bundle, Spec: spec, Facts: f, Gate: gate,
		NoPivot: o.NoPivot, NoNewKeyring: o.NoNewKeyring, PreserveFDs: o.PreserveFDs,
		SystemdCgroup: o.SystemdCgroup, NoCgroup: o.NoCgroup})
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
