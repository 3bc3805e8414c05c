package specconv

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/field"
)

func deviceOf(allow bool, kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
	d := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: access}
	if major >= 0 {
		d.Major = &major
	}
	if minor >= 0 {
		d.Minor = &minor
	}
	return d
}

// The lines that defaultDeviceRules makes where nothing else was said.
const defaultLines = "allow c *:* m\nallow b *:* m\nallow c 1:3 rwm\nallow c 1:8 rwm\nallow c 1:7 rwm\nallow c 5:0 rwm\n" +
	"allow c 1:5 rwm\nallow c 1:9 rwm\nallow c 136:* rwm\nallow c 5:2 rwm\nallow c 10:200 rwm\n"

func TestDeviceWritesV1(t *testing.T) {
	denyAll := deviceOf(false, "", -1, -1, "rwm")
	list := func(d ...specs.LinuxDeviceCgroup) *specs.LinuxResources { return &specs.LinuxResources{Devices: d} }
	for _, c := range []struct {
		name string
		r    *specs.LinuxResources
		want string
		errs string
	}{
		{name: "no resources", want: "deny a\n" + defaultLines},
		{name: "no rules", r: list(), want: "deny a\n" + defaultLines},
		{name: "deny all", r: list(denyAll), want: "deny a\n" + defaultLines},
		{name: "the config's rules before the defaults", r: list(denyAll, deviceOf(true, "c", 10, 229, "wr"), deviceOf(true, "b", 8, 0, "r")),
			want: "deny a\nallow c 10:229 rw\nallow b 8:0 r\n" + defaultLines},
		{name: "one line for one device", r: list(deviceOf(true, "c", 1, 3, "r"), deviceOf(true, "c", 1, 3, "wr")),
			want: "deny a\nallow c 1:3 rwm\n" + strings.Replace(defaultLines, "allow c 1:3 rwm\n", "", 1)},
		{name: "everything", r: list(denyAll, deviceOf(true, "a", -1, -1, "mrw")), want: "allow a\n"},
		{name: "everything but a disk", r: list(deviceOf(true, "", -1, -1, "rwm"), deviceOf(false, "b", 8, 0, "rwm")),
			want: "allow a\ndeny b 8:0 rw\n"}, // the default "b *:* m" comes last
		{name: "deny all forgets", r: list(deviceOf(true, "c", 7, 7, "r"), denyAll), want: "deny a\n" + defaultLines},
		{name: "denied again", r: list(deviceOf(true, "c", 7, 7, "rw"), deviceOf(true, "c", 7, 8, "rw"), deviceOf(false, "c", 7, -1, "w"), deviceOf(false, "c", 7, 8, "r")),
			want: "deny a\nallow c 7:7 r\n" + defaultLines},
		{name: "a with numbers is both kinds, not everything", r: list(deviceOf(true, "a", 9, -1, "r")),
			want: "deny a\nallow c 9:* r\nallow b 9:* r\n" + defaultLines},
		{name: "a with some access is not everything", r: list(deviceOf(true, "", -1, -1, "r")),
			want: "deny a\nallow c *:* rm\nallow b *:* rm\n" + strings.TrimPrefix(defaultLines, "allow c *:* m\nallow b *:* m\n")},
		{name: "-1 is every one", r: list(specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr(int64(5)), Minor: ptr(int64(-1)), Access: "r"}),
			want: "deny a\nallow c 5:* r\n" + defaultLines},
		{name: "a hole", r: list(deviceOf(true, "c", 7, -1, "rwm"), deviceOf(false, "c", 7, 3, "w")),
			want: "deny a\nallow c 7:* rwm\n" + defaultLines,
			errs: "host linux.resources.devices[1] \"c 7:3 w\": cgroup v1 cannot make an exception from the wider rule \"c 7:* rwm\" before it; cgroup v2 can\n"},
		{name: "a hole for another access is none", r: list(deviceOf(true, "c", 7, -1, "r"), deviceOf(false, "c", 7, 3, "wm")),
			want: "deny a\nallow c 7:* r\n" + defaultLines},
		{name: "a default inside a denied range", r: list(deviceOf(true, "a", -1, -1, "rwm"), deviceOf(false, "c", 1, -1, "rwm")),
			want: "allow a\ndeny c 1:* rw\n"},
		{name: "mistakes", r: list(deviceOf(true, "p", 1, 1, "r"), deviceOf(true, "c", 1, 1, ""), deviceOf(true, "c", 1, 1, "rx"),
			specs.LinuxDeviceCgroup{Type: "c", Major: ptr(int64(-2)), Access: "r"}, deviceOf(true, "c", 1, 1<<32, "r")),
			want: "deny a\n" + defaultLines,
			errs: "config linux.resources.devices[0].type \"p\": is none of a, b, c\n" +
				"config linux.resources.devices[1].access: must be made of r (read), w (write) and m (mknod)\n" +
				"config linux.resources.devices[2].access \"rx\": must be made of r (read), w (write) and m (mknod)\n" +
				"config linux.resources.devices[3].major \"-2\": is not a device number, nor -1 for every one\n" +
				"config linux.resources.devices[4].minor \"4294967296\": is not a device number, nor -1 for every one\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var errs field.List
			var got, gotErrs strings.Builder
			for _, w := range resourceWrites(c.r, cgroupsV1(), &errs) {
				got.WriteString(strings.TrimPrefix(w.file, "devices.") + " " + w.value + "\n")
			}
			for _, e := range errs.All() {
				gotErrs.WriteString(e.Class.String() + " " + e.Error() + "\n")
			}
			if got.String() != c.want {
				t.Errorf("got\n%swant\n%s", got.String(), c.want)
			}
			if gotErrs.String() != c.errs {
				t.Errorf("errors\n%swant\n%s", gotErrs.String(), c.errs)
			}
		})
	}
}

func TestDeviceWritesKnowTheirField(t *testing.T) {
	r := specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{deviceOf(false, "", -1, -1, "rwm"), deviceOf(true, "c", 7, 7, "r")}}
	var errs field.List
	w := resourceWrites(&r, cgroupsV1(), &errs)
	if w[0].field != "linux.resources.devices[0]" || w[1].field != "linux.resources.devices[1]" || w[2].field != "linux.resources.devices" {
		t.Errorf("%q %q %q", w[0].field, w[1].field, w[2].field)
	}
	for i := range w {
		if name := cgroupsV1().Hierarchies[w[i].hierarchy].Name; name != "devices" {
			t.Errorf("%+v goes to %s", w[i], name)
		}
	}
}

// On v2 the list is for a BPF program; on v1 without the hierarchy it is an
// error, but only if the config has rules.
func TestDevicesWithoutTheController(t *testing.T) {
	r := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{deviceOf(true, "x", 0, 0, "r"), deviceOf(true, "c", 7, 7, "r")}}
	var errs field.List
	if w := resourceWrites(r, cgroupsV2(), &errs); len(w) != 0 || errs.Len() != 1 {
		t.Errorf("v2: %v, %v", w, errs.Err())
	}
	pids := &facts.Cgroup{Hierarchies: []facts.Hierarchy{{Name: "pids", Controllers: []string{"pids"}, Mount: "/sys/fs/cgroup/pids"}}}
	errs = field.List{}
	if w := resourceWrites(nil, pids, &errs); len(w) != 0 || errs.Len() != 0 {
		t.Errorf("no rules: %v, %v", w, errs.Err())
	}
	r.Devices = r.Devices[1:]
	resourceWrites(r, pids, &errs)
	const want = `linux.resources.devices "a": the cgroup controller devices is not mounted; ` +
		`mount it with: mkdir -p /sys/fs/cgroup/devices && mount -t cgroup -o devices devices /sys/fs/cgroup/devices`
	if all := errs.All(); len(all) == 0 || all[0].Error() != want || all[0].Class != field.Host {
		t.Errorf("got %v", errs.Err())
	}
}

func TestUpdateLeavesDevicesAlone(t *testing.T) {
	r := specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{deviceOf(true, "c", 7, 7, "r")}}
	var errs field.List
	if w := updateWrites(&r, cgroupsV1(), nil, &errs); len(w) != 0 || errs.Len() != 0 {
		t.Errorf("%v, %v", w, errs.Err())
	}
}

func TestDeviceRules(t *testing.T) {
	show := func(r *specs.LinuxResources) string {
		var b strings.Builder
		for _, rule := range deviceRules(r) {
			b.WriteString(map[bool]string{true: "allow ", false: "deny "}[rule.Allow] + rule.String() + "\n")
		}
		return b.String()
	}
	if got := show(nil); got != "deny a\n"+defaultLines {
		t.Errorf("defaults:\n%s", got)
	}
	r := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{deviceOf(true, "c", 1, 1, "r"), deviceOf(true, "", -1, -1, "rwm"),
		deviceOf(false, "a", 9, -1, "w"), deviceOf(true, "p", 1, 1, "r")}}
	if got := show(r); got != "allow a\ndeny a 9:* w\n"+defaultLines {
		t.Errorf("in order:\n%s", got)
	}
	r.Devices = r.Devices[:2]
	if got := show(r); got != "allow a\n" {
		t.Errorf("everything:\n%s", got)
	}
}
