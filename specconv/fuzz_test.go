package specconv

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/ociconfig"
)

// FuzzCompile holds that no config, however odd, makes Compile panic or make a
// plan that is not sound, and that an error always names a field.
func FuzzCompile(f *testing.F) {
	for _, name := range goldenCases(f) {
		data, err := os.ReadFile("testdata/" + name + "/config.json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint8(len(name)))
	}
	f.Add([]byte(`{}`), uint8(0))
	f.Add([]byte(`{"ociVersion":"1.0","process":{},"root":{},"linux":{},"hooks":{},"mounts":[{}]}`), uint8(1))
	f.Add([]byte(`{"ociVersion":"1.0.0","process":{"args":[""],"cwd":"//"},"mounts":[{"destination":"//..","type":"tmpfs","options":[""," ",",","=","ro,rw"]}]}`), uint8(2))
	hosts := []string{"hybrid-6.18", "v2-5.10", "v1-5.15", "nested-6.1", "rootless-6.1", "no-cgroups-6.6", "apparmor-6.1", "selinux-6.12"}
	f.Fuzz(func(t *testing.T, config []byte, choice uint8) {
		spec, errs := ociconfig.DecodeSpec(config)
		if errs.Err() != nil || spec == nil {
			return
		}
		in := Input{ID: "fuzz", Bundle: "/bundle", Spec: spec, Facts: readFacts(t, hosts[int(choice)%len(hosts)]), Gate: choice&8 == 0, NoPivot: choice&16 != 0,
			NoNewKeyring: choice&32 != 0, NoCgroup: choice&64 != 0, PreserveFDs: int(choice >> 6)}
		res, err := Compile(in)
		if err != nil {
			var inv *field.Invalid
			if !errors.As(err, &inv) || len(inv.Errors) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			for _, e := range inv.Errors {
				if e.Path == "" || e.Why == "" || e.Class == field.Bug {
					t.Errorf("%+v", e)
				}
			}
			return
		}
		wire := checkPlan(t, "fuzz", res.Plan)
		again, err := Compile(in)
		if err != nil || !bytes.Equal(again.Plan.Encode(), wire) {
			t.Errorf("the same input gives two plans: %v", err)
		}
	})
}
