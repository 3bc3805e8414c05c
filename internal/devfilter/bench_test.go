package devfilter

import (
	"fmt"
	"os"
	"testing"
)

// BenchmarkAttach is what a start pays for its device rules: compiled, loaded,
// verified and attached.
func BenchmarkAttach(b *testing.B) {
	dir := fmt.Sprintf("/sys/fs/cgroup/unified/devfilter-bench-%d", os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		b.Skip(err)
	}
	defer os.Remove(dir)
	rules := mustParse(b, "deny a", "allow c *:* m", "allow b *:* m", "allow c 1:3 rwm", "allow c 1:8 rwm", "allow c 1:7 rwm", "allow c 5:0 rwm",
		"allow c 1:5 rwm", "allow c 1:9 rwm", "allow c 136:* rwm", "allow c 5:2 rwm", "allow c 10:200 rwm")
	for b.Loop() {
		if err := Attach(dir, mustCompile(b, rules)); err != nil {
			b.Fatal(err)
		}
	}
}
