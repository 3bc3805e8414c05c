package specconv

import (
	"slices"
	"testing"

	"github.com/tare-oci/tare/internal/plan"
)

// One element may hold several options, as lines of fstab(5) do; commas between
// quotes are part of a value.
func TestOptionsWithCommas(t *testing.T) {
	p := parseOptions([]string{"size=1m,ro,nosuid", "rbind,rprivate", "", ",", `context="a:b:c1,c2",rnoexec`, "tmpcopyup", "lowerdir=/a:/b,upperdir=/c"})
	if p.attr.set != plan.AttrReadonly|plan.AttrNosuid || p.rattr.set != plan.AttrNoexec || p.prop != plan.PropPrivate|plan.PropRec || !p.rbind || !p.copyUp {
		t.Errorf("%+v", p)
	}
	if want := []string{"size=1m", `context="a:b:c1,c2"`, "lowerdir=/a:/b", "upperdir=/c"}; !slices.Equal(p.data, want) {
		t.Errorf("data %q, want %q", p.data, want)
	}
	// The later wins, wherever it stands.
	if p := parseOptions([]string{"ro,rw", "noexec", "exec,nodev"}); p.attr.set != plan.AttrNodev || p.attr.clear != plan.AttrReadonly|plan.AttrNoexec {
		t.Errorf("%+v", p.attr)
	}
}
