package network

import (
	"bytes"
	"testing"

	"github.com/tare-oci/tare/hooks/network/record"
)

// N-74: what is taken as a state has an id that can be the name of a directory.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"id":"c1","status":"created","pid":7,"bundle":"/b","annotations":{"a":"b"}}`))
	f.Add([]byte(`{"id":"c1","status":"stopped","pid":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadState(bytes.NewReader(data))
		if err == nil && (record.ValidID(s.ID) != nil || s.Pid < 0) {
			t.Fatalf("%+v", s)
		}
	})
}

// A record that was written by somebody else does not lead out of its directory.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":"c1","network":"web","ifname":"eth0","phase":"done","key":"k","ips":["10.0.0.2/16"],"ports":[{"host":1,"container":1,"count":1,"proto":"tcp"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := record.Decode(data)
		if err == nil && record.ValidID(a.ID) != nil {
			t.Fatalf("%+v", a)
		}
	})
}
