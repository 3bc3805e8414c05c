package libcontainer

import (
	"strconv"
	"strings"

	"github.com/tare-oci/tare/internal/cgroup"
	"github.com/tare-oci/tare/internal/rdt"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
)

// Stats is what a container has used since it was created.
type Stats struct {
	cgroup.Stats
	Rdt *rdt.Stats // nil when it is in no resctrl group
	// Interfaces are those of the container's network namespace; nil when that is
	// the caller's.
	Interfaces []Interface
}

// Pressure is how much of the time something was waited for.
type Pressure = cgroup.Pressure

// Interface counts the traffic of a network interface, from the container's side.
type Interface struct {
	Name                                    string
	RxBytes, RxPackets, RxErrors, RxDropped uint64
	TxBytes, TxPackets, TxErrors, TxDropped uint64
}

// Stats reads the counters of a container that is not stopped.
func (c *Container) Stats() (*Stats, error) {
	if err := require(opEvents, c.Status(), c.rec.ID); err != nil {
		return nil, err
	}
	return readStats(c.rec)
}

func readStats(rec *state.Record) (*Stats, error) {
	counted, err := cgroup.ReadStats(statsDirs(rec))
	if err != nil {
		if cgroup.IsGone(err) {
			return nil, &StatusError{ID: rec.ID, Status: Stopped, Why: refusal(opEvents, Stopped, rec.ID)}
		}
		return nil, err
	}
	s := &Stats{Stats: *counted}
	if len(rec.RdtGroups) > 0 {
		if s.Rdt, err = rdt.ReadStats(rec.RdtGroups[len(rec.RdtGroups)-1]); err != nil {
			return nil, err
		}
	}
	if own := inode("/proc/self/ns/net"); own != 0 && own != rec.NetNS {
		s.Interfaces = readInterfaces(sys.Text("/proc/" + strconv.Itoa(rec.Pid) + "/net/dev"))
	}
	return s, nil
}

func statsDirs(rec *state.Record) []cgroup.StatsDir {
	out := make([]cgroup.StatsDir, 0, len(rec.Cgroups))
	for i, d := range dirs(rec) {
		g := &rec.Cgroups[i]
		switch {
		case g.V2:
			out = append(out, cgroup.StatsDir{Dir: d, V2: true})
		case !strings.HasPrefix(g.Hierarchy, "name="):
			out = append(out, cgroup.StatsDir{Dir: d, Controllers: strings.Split(g.Hierarchy, ",")})
		}
	}
	return out
}

// The columns of /proc/PID/net/dev behind the name, of sixteen (proc_pid_net(5)).
const (
	columnRx = 0
	columnTx = 8
	columns  = 16
)

func readInterfaces(text string) []Interface {
	var out []Interface
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if !ok || len(f) < columns {
			continue // two lines of heads
		}
		n := func(i int) uint64 {
			v, _ := strconv.ParseUint(f[i], 10, 64)
			return v
		}
		out = append(out, Interface{Name: strings.TrimSpace(name),
			RxBytes: n(columnRx), RxPackets: n(columnRx + 1), RxErrors: n(columnRx + 2), RxDropped: n(columnRx + 3),
			TxBytes: n(columnTx), TxPackets: n(columnTx + 1), TxErrors: n(columnTx + 2), TxDropped: n(columnTx + 3)})
	}
	return out
}
