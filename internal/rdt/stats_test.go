package rdt

import (
	"slices"
	"testing"
)

// The numbers are those of a copy of the files: see tree.
func TestReadStats(t *testing.T) {
	root := tree(t)
	put(t, root+"/info/L3/cbm_mask", "7ff\n")
	put(t, root+"/info/L3/min_cbm_bits", "1\n")
	put(t, root+"/info/L3/num_closids", "16\n")
	put(t, root+"/info/MB/min_bandwidth", "10\n")
	put(t, root+"/info/MB/num_closids", "8\n")
	put(t, root+"/info/MB/delay_linear", "1\n")
	class := root + "/class"
	fill(t, class, "    MB:0= 20;1= 70\n    L3:0=00f;1=0f0\n")
	group := class + "/mon_groups/box"
	put(t, group+"/mon_data/mon_L3_01/llc_occupancy", "4096\n")
	put(t, group+"/mon_data/mon_L3_01/mbm_total_bytes", "500\n")
	put(t, group+"/mon_data/mon_L3_01/mbm_local_bytes", "300\n")
	put(t, group+"/mon_data/mon_L3_00/llc_occupancy", "8192\n")
	put(t, group+"/mon_data/mon_L3_00/mbm_total_bytes", "Unavailable\n")
	s, err := ReadStats(group)
	if err != nil {
		t.Fatal(err)
	}
	if s.L3.CbmMask != "7ff" || s.L3.MinCbmBits != 1 || s.L3.NumClosids != 16 || s.MB.BandwidthGran != 10 || s.MB.MinBandwidth != 10 || s.MB.NumClosids != 8 || s.MB.DelayLinear != 1 {
		t.Errorf("%+v %+v", s.L3, s.MB)
	}
	if s.L3Root != "L3:0=7ff;1=7ff" || s.L3Schema != "L3:0=00f;1=0f0" || s.MBRoot != "MB:0=100;1=100" || s.MBSchema != "MB:0= 20;1= 70" {
		t.Errorf("%q %q %q %q", s.L3Root, s.L3Schema, s.MBRoot, s.MBSchema)
	}
	if !slices.Equal(s.Occupancy, []uint64{8192, 4096}) || !slices.Equal(s.Bandwidth, []Traffic{{500, 300}}) {
		t.Errorf("%v %v", s.Occupancy, s.Bandwidth)
	}
	if text, err := Schemata(class); err != nil || text != s.Schemata {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := ReadStats(root + "/gone"); err == nil {
		t.Error("a group that is not there has counters")
	}
}
