package state

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/ojson"
)

// WriteNetwork writes the member "network", which is there only when the
// container's traffic is marked: {"classID":1,"priorities":[{"name":"eth0","priority":5}]}.
func (s *State) WriteNetwork(w *ojson.Writer) {
	if s.ClassID == 0 && len(s.Priorities) == 0 {
		return
	}
	w.Key("network").Object()
	if s.ClassID != 0 {
		w.Key("classID").Uint(uint64(s.ClassID))
	}
	if len(s.Priorities) > 0 {
		w.Key("priorities").Array()
		for _, p := range s.Priorities {
			w.Object()
			w.Key("name").String(p.Name)
			w.Key("priority").Uint(uint64(p.Priority))
			w.End()
		}
		w.End()
	}
	w.End()
}

func (s *State) readNetwork(d *ojson.Decoder) {
	if !d.Object() {
		return
	}
	for d.Next() {
		switch d.Key() {
		case "classID":
			s.ClassID = d.ReadUint32()
		case "priorities":
			for ok := d.Array(); ok && d.Next(); {
				s.Priorities = append(s.Priorities, readPriority(d))
			}
		default:
			d.Unknown()
		}
	}
}

func readPriority(d *ojson.Decoder) (p specs.LinuxInterfacePriority) {
	if !d.Object() {
		return p
	}
	for d.Next() {
		switch d.Key() {
		case "name":
			p.Name = d.ReadString()
		case "priority":
			p.Priority = d.ReadUint32()
		default:
			d.Unknown()
		}
	}
	return p
}
