package specconv

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/ociconfig"
)

// FuzzCompileExec is FuzzCompile for the config of a container and a process that
// is to join it.
func FuzzCompileExec(f *testing.F) {
	for _, name := range execCases(f) {
		dir := filepath.Join("testdata", "exec", name)
		f.Add(readFile(f, filepath.Join(dir, "container.json")), readFile(f, filepath.Join(dir, "process.json")), uint8(len(name)))
	}
	f.Add([]byte(`{}`), []byte(`{}`), uint8(0))
	hosts := []string{"hybrid-6.18", "v2-5.10", "rootless-6.1", "apparmor-6.1"}
	f.Fuzz(func(t *testing.T, config, process []byte, choice uint8) {
		spec, errs := ociconfig.DecodeSpec(config)
		if errs.Err() != nil || spec == nil {
			return
		}
		p, errs := ociconfig.DecodeProcess(process)
		if errs.Err() != nil || p == nil {
			return
		}
		in := ExecInput{ID: "fuzz", Spec: spec, Process: p, Facts: readFacts(t, hosts[int(choice)%len(hosts)]), PreserveFDs: int(choice >> 6),
			Target: Target{Pid: 9, Start: 1, SharesUserNS: choice&4 != 0, NewKeyring: choice&8 != 0}}
		if choice&16 != 0 {
			in.Target.RdtGroups = []string{"/g"}
		}
		if choice&32 != 0 {
			in.PidfdSocket = "/s"
		}
		res, err := CompileExec(in)
		if err != nil {
			var inv *field.Invalid
			if !errors.As(err, &inv) || len(inv.Errors) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		wire := checkPlan(t, "fuzz", res.Plan)
		again, err := CompileExec(in)
		if err != nil || !bytes.Equal(again.Plan.Encode(), wire) {
			t.Errorf("the same input gives two plans: %v", err)
		}
	})
}
