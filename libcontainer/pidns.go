package libcontainer

import (
	"os"
	"slices"
	"strconv"

	"github.com/tare-oci/tare/internal/state"
)

// namespaceProcesses finds the processes of a container without cgroups by its pid
// namespace, if that is its own: else only the first process is known. Those of
// namespaces that they have made in turn are not among them.
func namespaceProcesses(rec *state.Record) []int {
	only := []int{rec.Pid}
	own, err := os.Readlink("/proc/" + strconv.Itoa(rec.Pid) + "/ns/pid")
	if err != nil || !rec.PidNamespace {
		return only
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return only
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return only
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			// A process of somebody else's cannot be looked into, and is none of ours.
			if ns, err := os.Readlink("/proc/" + name + "/ns/pid"); err == nil && ns == own {
				pids = append(pids, pid)
			}
		}
	}
	if len(pids) == 0 { // it has just ended
		return only
	}
	slices.Sort(pids)
	return pids
}
