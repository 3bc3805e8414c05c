package integration

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestListenerRootless: an ordinary user's container has an agent, too: nobody has to
// look into the init to get its listener.
func TestListenerRootless(t *testing.T) {
	for name, edit := range map[string]func(*specs.Spec){"privileged_inside": func(s *specs.Spec) { s.Process.NoNewPrivileges = false }, "no_new_privs": noNewPrivs} {
		t.Run(name, func(t *testing.T) {
			b := userBox(t, edit)
			b.spec.Root.Readonly = false
			a := newAgent(t, b.dir+"/run/agent", fake)
			b.must(unix.Chown(b.dir+"/run/agent", ordinary, ordinary))
			b.edit(notify(b.dir+"/run/agent", "", "mkdirat"))
			rep := b.probe("mkdir:/tmp/faked", "stat:/tmp/faked")
			expect(t, "errno of mkdirat", rep.result("mkdir:/tmp/faked").Err, 0)
			expect(t, "errno of stat", rep.result("stat:/tmp/faked").Err, int(unix.ENOENT))
			expectList(t, "questions", a.questions(), []int{unix.SYS_MKDIRAT})
			expect(t, "id in the state", a.states[0].State.ID, b.id)
			b.nothingLeft()
		})
	}
}
