package rdt

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/tare-oci/tare/internal/sys"
)

// Stats is what resctrl says about a group: what the hardware can do, how it is
// shared out, and what was counted.
type Stats struct {
	L3 struct {
		CbmMask                string
		MinCbmBits, NumClosids uint64
	}
	MB struct{ BandwidthGran, DelayLinear, MinBandwidth, NumClosids uint64 }

	L3Root, L3Schema string // the lines of the root's class and the group's, without blanks
	MBRoot, MBSchema string
	Schemata         string // of the group, whole

	Bandwidth []Traffic // one for each monitored L3 cache, in their order
	Occupancy []uint64  // bytes of each L3 cache
}

// Traffic is the memory traffic of one L3 cache, in bytes.
type Traffic struct{ Total, Local uint64 }

// ReadStats reads what there is about a group. The error is that it is gone.
func ReadStats(group string) (*Stats, error) {
	if err := Exists(group); err != nil {
		return nil, err
	}
	s := new(Stats)
	class := group
	if i := strings.Index(group, "/mon_groups/"); i >= 0 {
		class = group[:i] // a monitoring group has no schemata of its own
	}
	root := class
	for len(root) > 1 && Exists(root+"/info") != nil {
		root = path.Dir(root)
	}
	info := func(file string) uint64 {
		n, _ := strconv.ParseUint(strings.TrimSpace(sys.Text(root+"/info/"+file)), 10, 64)
		return n
	}
	s.L3.CbmMask = strings.TrimSpace(sys.Text(root + "/info/L3/cbm_mask"))
	s.L3.MinCbmBits, s.L3.NumClosids = info("L3/min_cbm_bits"), info("L3/num_closids")
	s.MB.BandwidthGran, s.MB.DelayLinear = info("MB/bandwidth_gran"), info("MB/delay_linear")
	s.MB.MinBandwidth, s.MB.NumClosids = info("MB/min_bandwidth"), info("MB/num_closids")
	rootText := sys.Text(root + "/schemata")
	s.Schemata = sys.Text(class + "/schemata")
	s.L3Root, s.L3Schema = lineOf(rootText, "L3"), lineOf(s.Schemata, "L3")
	s.MBRoot, s.MBSchema = lineOf(rootText, "MB"), lineOf(s.Schemata, "MB")

	domains, _ := os.ReadDir(group + "/mon_data") // without monitoring hardware there is none
	slices.SortFunc(domains, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, d := range domains {
		if !strings.HasPrefix(d.Name(), "mon_L3_") {
			continue
		}
		dir := group + "/mon_data/" + d.Name()
		if n, ok := counted(dir + "/llc_occupancy"); ok {
			s.Occupancy = append(s.Occupancy, n)
		}
		total, ok1 := counted(dir + "/mbm_total_bytes")
		local, ok2 := counted(dir + "/mbm_local_bytes")
		if ok1 || ok2 {
			s.Bandwidth = append(s.Bandwidth, Traffic{total, local})
		}
	}
	return s, nil
}

// counted reads a counter; it can say Unavailable.
func counted(file string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(sys.Text(file)), 10, 64)
	return n, err == nil
}

// lineOf finds the line of a resource in a schemata file.
func lineOf(schemata, resource string) string {
	for line := range strings.Lines(schemata) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, resource+":") {
			return line
		}
	}
	return ""
}
