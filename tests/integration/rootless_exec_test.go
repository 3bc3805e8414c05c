package integration

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestRootlessExec: an ordinary user's exec joins what his container has, with the
// ids of the command, and its own oom_score_adj.
func TestRootlessExec(t *testing.T) {
	for name, many := range map[string]bool{"his own id": false, "more ids": true} {
		t.Run(name, func(t *testing.T) {
			b := userBox(t, prober("pause"))
			b.spec.Process.OOMScoreAdj = ptr(500)
			want := uint32(0)
			if many {
				b.edit(manyIDs)
				b.grant("tare-test:300000:1000\n", "tare-test:400000:1000\n")
				b.spec.Process.User = specs.User{UID: 3, GID: 4}
				want = 5
			}
			out := b.create()
			b.start()
			b.output(out)
			args := []string{"exec", "--user", "0", b.id, "/prober"}
			if many {
				args[2] = "5:6"
			}
			r := b.parse(b.ok(args...).Stdout)
			expectList(t, "uids", r.UID, []uint32{want, want, want})
			expect(t, "oom_score_adj", strings.TrimSpace(r.OomScoreAdj), "500")
			for _, ns := range []string{"user", "pid", "ipc", "uts", "mnt", "cgroup"} {
				expect(t, ns+" namespace", r.Namespaces[ns], holder{b.pid}.linkOf(t, ns))
			}
			expect(t, "host name", r.Hostname, "tare")
			b.remove("--force")
		})
	}
}
