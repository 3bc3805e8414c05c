//go:build !tare_front

package plan

import "encoding/json"

// jsonOp is one op in the form of `tare plan --format json`.
type jsonOp struct {
	Index int               `json:"index"`
	Side  string            `json:"side"`
	Phase string            `json:"phase"`
	Op    string            `json:"op"`
	Args  map[string]string `json:"args,omitempty"`
	Flags []string          `json:"flags,omitempty"`
	Field string            `json:"field,omitempty"`
}

// JSON prints the plan as an array of objects, one per op, for programs.
func (p *Plan) JSON() ([]byte, error) {
	out := make([]jsonOp, len(p.Ops))
	for i := range p.Ops {
		op := &p.Ops[i]
		j := jsonOp{Index: i, Side: op.Code.Side().String(), Phase: op.at.String(), Op: op.Code.Name(), Field: op.Field}
		if r, ok := row(op.Code); ok {
			for k := range r.args {
				if v := p.argText(&r.args[k], op); v != "" {
					if j.Args == nil {
						j.Args = make(map[string]string)
					}
					j.Args[r.args[k].name] = v
				}
			}
			for _, f := range r.flags {
				if op.Flags&uint32(f.bit) != 0 {
					j.Flags = append(j.Flags, f.name)
				}
			}
		}
		out[i] = j
	}
	return json.MarshalIndent(out, "", "  ")
}
