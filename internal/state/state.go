// Package state keeps what the runtime remembers of a container between two
// commands.
//
// A container ID has two files in the state root: ID.json, the record and, from
// its second line on, the config that the container was created with, written by
// atomic rename under a lock, and ID.gate, the fifo on which the process
// waits for start. There is no directory for each container: making and
// removing one costs more than everything else here. ID.dead is the record of a
// deleted container whose poststop hooks have not all succeeded.
package state

import (
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/ojson"
)

// Schema is the version of the record's form. A record of a newer schema is
// refused; older ones are read as they are.
const Schema = 1

// State is the record. Whether a container runs is not in it: that is derived
// from what can be observed.
type State struct {
	Schema      int
	ID          string
	Bundle      string // absolute
	Rootfs      string // absolute
	Created     string // RFC 3339 with nanoseconds, UTC
	Owner       uint32 // uid of the creator
	Annotations map[string]string

	// Pid is the container's process on the host, 0 until it exists, and
	// PidStart its start time in clock ticks (field 22 of /proc/PID/stat),
	// which tells it from a later process of the same number.
	Pid      int
	PidStart uint64

	// NetNS is the inode of the container's network namespace, which network hooks
	// and their clean-up find it by; 0 when it was not looked at.
	NetNS uint64
	// ClassID and Priorities are what net_cls and net_prio were set to.
	ClassID    uint32
	Priorities []specs.LinuxInterfacePriority

	// Cgroups are the container's directories. Until CgroupsMade they are only
	// meant to be: what lies there may be somebody else's.
	Cgroups     []Cgroup
	CgroupsMade bool
	// Unit is the systemd unit that the cgroups belong to, "" without one. UserUnit
	// says that it is of the systemd of a user.
	Unit     string
	UserUnit bool
	// Taken says that systemd may take a process along that is started for the
	// container, when it moves the unit of whoever starts it.
	Taken bool
	// RdtGroups are the resctrl directories that the container's processes are in,
	// RdtMade those that go with it, the outer one first.
	RdtGroups, RdtMade []string
	// NoKeyring says that the process kept its creator's session keyring.
	NoKeyring bool
	Notify    bool // ID.notify is a directory, at /run/notify in the container (sd_notify(3))
	// PidNamespace says that the process is the first of its own pid namespace,
	// so that all processes of the container end with it.
	PidNamespace bool
	// HostMounts says that the container's mounts lie in a mount namespace that
	// is not its own: MountNS, by path, or the runtime's where that is empty.
	// MountNSInode is that of MountNS: its path may have a process's number in it,
	// which is another's by now. MountsBefore counts those at Rootfs that were there
	// before.
	MountNSInode uint64
	HostMounts   bool
	MountNS      string
	MountsAt     string // Rootfs as mountinfo shows it, without links
	MountsBefore int

	Poststart []specs.Hook
	Poststop  []specs.Hook

	// PausedAtGate says that the container was paused while it waited for start.
	PausedAtGate bool
}

// Cgroup is one directory of the container in one hierarchy.
type Cgroup struct {
	Hierarchy string   // "memory", "name=systemd", "" for v2
	Mount     string   // where the hierarchy is mounted
	Path      string   // below Mount
	V2        bool     `json:",omitempty"`
	Created   []string // what tare made, outermost first, below Mount
}

// Encode returns the record as JSON.
func (s *State) Encode() []byte {
	var w ojson.Writer
	w.Object()
	w.Key("schema").Int(Schema)
	w.Key("id").String(s.ID)
	w.Key("bundle").String(s.Bundle)
	w.Key("rootfs").String(s.Rootfs)
	w.Key("created").String(s.Created)
	w.Key("owner").Uint(uint64(s.Owner))
	w.Key("pid").Int(int64(s.Pid))
	w.Key("pidStart").Uint(s.PidStart)
	w.Key("pidNamespace").Bool(s.PidNamespace)
	if s.NoKeyring {
		w.Key("noKeyring").Bool(true)
	}
	if s.Notify {
		w.Key("notify").Bool(true)
	}
	if s.NetNS != 0 {
		w.Key("netns").Uint(s.NetNS)
	}
	s.WriteNetwork(&w)
	if s.HostMounts {
		w.Key("hostMounts").Bool(true)
		w.Key("mountNS").String(s.MountNS)
		w.Key("mountsAt").String(s.MountsAt)
		w.Key("mountsBefore").Int(int64(s.MountsBefore))
		if s.MountNSInode != 0 {
			w.Key("mountNSInode").Uint(s.MountNSInode)
		}
	}
	if len(s.Annotations) > 0 {
		w.Key("annotations").Object()
		for _, k := range sortedKeys(s.Annotations) {
			w.Key(k).String(s.Annotations[k])
		}
		w.End()
	}
	// As a digit, so that the first record can be written again in its place.
	made := int64(0)
	if s.CgroupsMade {
		made = 1
	}
	w.Key("cgroupsMade").Int(made)
	w.Key("cgroups").Array()
	for i := range s.Cgroups {
		c := &s.Cgroups[i]
		w.Object()
		w.Key("hierarchy").String(c.Hierarchy)
		w.Key("mount").String(c.Mount)
		w.Key("path").String(c.Path)
		if c.V2 {
			w.Key("v2").Bool(true)
		}
		stringList(&w, "created", c.Created)
		w.End()
	}
	w.End()
	if s.Unit != "" {
		w.Key("unit").String(s.Unit)
		w.Key("userUnit").Bool(s.UserUnit)
	}
	if s.Taken {
		w.Key("taken").Bool(true)
	}
	stringList(&w, "rdtGroups", s.RdtGroups)
	stringList(&w, "rdtMade", s.RdtMade)
	hooks(&w, "poststart", s.Poststart)
	hooks(&w, "poststop", s.Poststop)
	if s.PausedAtGate {
		w.Key("pausedAtGate").Bool(true)
	}
	w.End()
	return w.Bytes()
}

func stringList(w *ojson.Writer, key string, ss []string) {
	if len(ss) == 0 {
		return
	}
	w.Key(key).Array()
	for _, s := range ss {
		w.String(s)
	}
	w.End()
}

func hooks(w *ojson.Writer, key string, hs []specs.Hook) {
	if len(hs) == 0 {
		return
	}
	w.Key(key).Array()
	for i := range hs {
		h := &hs[i]
		w.Object()
		w.Key("path").String(h.Path)
		stringList(w, "args", h.Args)
		if h.Env != nil { // absent and empty are two things: see package hooks
			w.Key("env").Array()
			for _, e := range h.Env {
				w.String(e)
			}
			w.End()
		}
		if h.Timeout != nil {
			w.Key("timeout").Int(int64(*h.Timeout))
		}
		w.End()
	}
	w.End()
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		i := len(keys)
		keys = append(keys, k)
		for ; i > 0 && keys[i-1] > k; i-- {
			keys[i] = keys[i-1]
		}
		keys[i] = k
	}
	return keys
}

// Decode reads a record.
func Decode(data []byte) (*State, error) {
	s := new(State)
	d := ojson.NewDecoder(data)
	if d.Object() {
		for d.Next() {
			s.member(d)
		}
	}
	if err := d.Finish().Err(); err != nil {
		return nil, err
	}
	if s.Schema < 1 || s.Schema > Schema {
		return nil, &SchemaError{Schema: s.Schema}
	}
	return s, nil
}

// TornError says that a record is no whole JSON text, as a power failure or a full
// disk may leave it.
type TornError struct {
	Left *State // what could be read
	Err  error
}

func (e *TornError) Error() string {
	return e.Err.Error() + " (the record is damaged; delete --force removes what can be found)"
}

// Unwrap returns what the decoder said.
func (e *TornError) Unwrap() error { return e.Err }

// Salvage reads what a damaged record still says for certain. Hooks are not in it:
// one that has lost its last argument does something else.
func Salvage(data []byte) *State {
	s := new(State)
	d := ojson.NewDecoder(data)
	if d.Object() {
		for d.Next() {
			s.member(d)
		}
	}
	if n := len(s.Cgroups); n > 0 && d.Finish().Err() != nil { // the last may be cut
		s.Cgroups = s.Cgroups[:n-1]
	}
	s.Poststart, s.Poststop = nil, nil
	if !s.CgroupsMade { // which stands behind what is needed to unmount: it may be cut
		s.HostMounts = false
	}
	if s.Schema != Schema {
		*s = State{}
	}
	return s
}

// SchemaError says that a record was written by a newer tare.
type SchemaError struct{ Schema int }

func (e *SchemaError) Error() string {
	return "state has schema " + strconv.Itoa(e.Schema) + ", this version of tare reads up to " + strconv.Itoa(Schema)
}

func (s *State) member(d *ojson.Decoder) {
	switch d.Key() {
	case "schema":
		s.Schema = d.ReadInt()
	case "id":
		s.ID = d.ReadString()
	case "bundle":
		s.Bundle = d.ReadString()
	case "rootfs":
		s.Rootfs = d.ReadString()
	case "created":
		s.Created = d.ReadString()
	case "owner":
		s.Owner = d.ReadUint32()
	case "pid":
		s.Pid = d.ReadInt()
	case "pidStart":
		s.PidStart = d.ReadUint64()
	case "pidNamespace":
		s.PidNamespace = d.ReadBool()
	case "noKeyring":
		s.NoKeyring = d.ReadBool()
	case "notify":
		s.Notify = d.ReadBool()
	case "netns":
		s.NetNS = d.ReadUint64()
	case "network":
		s.readNetwork(d)
	case "hostMounts":
		s.HostMounts = d.ReadBool()
	case "mountsAt":
		s.MountsAt = d.ReadString()
	case "mountNS":
		s.MountNS = d.ReadString()
	case "mountsBefore":
		s.MountsBefore = d.ReadInt()
	case "mountNSInode":
		s.MountNSInode = d.ReadUint64()
	case "annotations":
		s.Annotations = make(map[string]string)
		if d.Object() {
			for d.Next() {
				k := d.Key()
				s.Annotations[k] = d.ReadString()
			}
		}
	case "cgroupsMade":
		s.CgroupsMade = d.ReadInt() != 0
	case "cgroups":
		if d.Array() {
			for d.Next() {
				s.Cgroups = append(s.Cgroups, readCgroup(d))
			}
		}
	case "unit":
		s.Unit = d.ReadString()
	case "userUnit":
		s.UserUnit = d.ReadBool()
	case "taken":
		s.Taken = d.ReadBool()
	case "rdtGroups":
		s.RdtGroups = d.ReadStrings()
	case "rdtMade":
		s.RdtMade = d.ReadStrings()
	case "poststart":
		s.Poststart = readHooks(d)
	case "poststop":
		s.Poststop = readHooks(d)
	case "pausedAtGate":
		s.PausedAtGate = d.ReadBool()
	default:
		d.Unknown()
	}
}

func readCgroup(d *ojson.Decoder) (c Cgroup) {
	if !d.Object() {
		return c
	}
	for d.Next() {
		switch d.Key() {
		case "hierarchy":
			c.Hierarchy = d.ReadString()
		case "mount":
			c.Mount = d.ReadString()
		case "path":
			c.Path = d.ReadString()
		case "v2":
			c.V2 = d.ReadBool()
		case "created":
			c.Created = d.ReadStrings()
		default:
			d.Unknown()
		}
	}
	return c
}

func readHooks(d *ojson.Decoder) (out []specs.Hook) {
	if !d.Array() {
		return nil
	}
	for d.Next() {
		var h specs.Hook
		if d.Object() {
			for d.Next() {
				switch d.Key() {
				case "path":
					h.Path = d.ReadString()
				case "args":
					h.Args = d.ReadStrings()
				case "env":
					h.Env = d.ReadStrings()
				case "timeout":
					t := d.ReadInt()
					h.Timeout = &t
				default:
					d.Unknown()
				}
			}
		}
		out = append(out, h)
	}
	return out
}
