package rdt

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/tare-oci/tare/internal/sys"
)

// Match is an error unless every value of the line "L3:0=7f0;1=1f" is what the
// group has. The kernel writes its file in a form of its own: with leading
// spaces and zeros, and bandwidths rounded up.
func Match(group, line string) error {
	data, err := sys.ReadFile(group+"/schemata", 1<<20)
	if err != nil {
		return err
	}
	resource, want := parse(line)
	has := ""
	for _, l := range strings.Split(string(data), "\n") {
		name, got := parse(l)
		if name != resource {
			continue
		}
		has = strings.TrimSpace(l)
		if contains(got, want, resource, step(group, resource)) {
			return nil
		}
	}
	if has == "" {
		return fmt.Errorf("the class exists and has no %s in its schemata", resource)
	}
	return fmt.Errorf("the class exists with another value, %q", has)
}

// parse takes a line apart: the resource, and the values by their domains.
func parse(line string) (resource string, values map[string]string) {
	resource, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
	values = make(map[string]string)
	for _, d := range strings.Split(rest, ";") {
		if id, v, ok := strings.Cut(d, "="); ok {
			values[strings.TrimSpace(id)] = strings.TrimSpace(v)
		}
	}
	return strings.TrimSpace(resource), values
}

func contains(got, want map[string]string, resource string, step uint64) bool {
	if len(want) == 0 {
		return false
	}
	for id, v := range want {
		if g, ok := got[id]; !ok || value(g, resource, 1) != value(v, resource, step) {
			return false
		}
	}
	return true
}

// value is a value in one form: a number, in the base of its resource and
// rounded up to step, or else the text.
func value(s, resource string, step uint64) string {
	base := 16 // bit masks of caches
	if resource == "MB" || resource == "SMBA" {
		base = 10
	}
	n, err := strconv.ParseUint(s, base, 64)
	if err != nil {
		return s
	}
	return strconv.FormatUint((n+step-1)/step*step, base)
}

// step is the granularity of a bandwidth.
func step(group, resource string) uint64 {
	for dir := group; len(dir) > 1; dir = path.Dir(dir) {
		if n, err := strconv.ParseUint(strings.TrimSpace(sys.Text(dir+"/info/"+resource+"/bandwidth_gran")), 10, 32); err == nil && n > 0 {
			return n
		}
	}
	return 1
}
