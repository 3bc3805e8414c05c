package cli

import (
	"slices"
	"strings"
	"testing"
)

// What runc, crun and the engines that call them spell, by command; the empty name
// stands for the flags in front of it. A flag of one letter is another name of the
// one before it.
var contract = map[string]string{
	"":         "root log log-format log-level debug systemd-cgroup cgroup-manager rootless version v V",
	"create":   "bundle b config f console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds",
	"run":      "bundle b config f console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds detach d keep no-subreaper",
	"start":    "",
	"state":    "",
	"features": "",
	"exec": "console-socket pidfd-socket cwd env e tty t user u additional-gids g process p detach d pid-file process-label apparmor no-new-privs " +
		"cap c preserve-fds cgroup ignore-paused",
	"kill":   "all a regex r",
	"delete": "force f regex r",
	"list":   "format f quiet q",
	"ps":     "format f",
	"spec":   "bundle b config f rootless",
}

func TestContractFlags(t *testing.T) {
	for name, want := range contract {
		flags := GlobalFlags
		if name != "" {
			cmd := findCommand(name)
			if cmd == nil {
				t.Errorf("no command %s", name)
				continue
			}
			flags = cmd.Flags
		}
		var last *Flag
		for _, f := range strings.Fields(want) {
			i := slices.IndexFunc(flags, func(x *Flag) bool { return x.is(f) })
			switch {
			case i < 0:
				t.Errorf("%s has no flag %s", name, f)
			case len(f) == 1 && flags[i] != last:
				t.Errorf("%s: -%s is not --%s", name, f, last.Name)
			default:
				last = flags[i]
			}
		}
	}
	// Where what follows the first positional argument is somebody else's.
	for i := range Commands {
		c := &Commands[i]
		if stop := slices.Contains([]string{"exec", "kill", "ps"}, c.Name); stop != c.stop {
			t.Errorf("%s: flags end at the first positional argument: %v, want %v", c.Name, c.stop, stop)
		}
	}
}

// The forms in which engines spell flags.
func TestContractForms(t *testing.T) {
	run := findCommand("run")
	for _, line := range []string{"--no-subreaper --detach id", "-no-subreaper -detach id", "-no-subreaper=true -d id", "id --detach --no-subreaper", "--detach=1 -no-subreaper=t -- id"} {
		v := newValues(run.Flags)
		rest, err := v.parse(strings.Fields(line), run.stop)
		if err != nil || !slices.Equal(rest, []string{"id"}) || !v.bool("detach") || !v.bool("no-subreaper") {
			t.Errorf("%s: %v, %v", line, rest, err)
		}
	}
	exec := findCommand("exec")
	v := newValues(exec.Flags)
	rest, err := v.parse([]string{"-e", "A=1,2", "--env=B=", "-t=no", "-c", "A", "--cap", "B", "id", "ls", "-d", "--env", "C=3"}, exec.stop)
	if err != nil || strings.Join(rest, " ") != "id ls -d --env C=3" {
		t.Errorf("%q, %v", rest, err)
	}
	// Commas split nothing; a flag that may be repeated keeps all, in order.
	if got := v.list("env"); !slices.Equal(got, []string{"A=1,2", "B="}) {
		t.Errorf("env %q", got)
	}
	if got := v.list("cap"); !slices.Equal(got, []string{"A", "B"}) || v.bool("tty") || v.bool("detach") {
		t.Errorf("cap %q, tty %v", got, v.bool("tty"))
	}
	if _, err := v.parse([]string{"-t=maybe"}, true); err == nil {
		t.Error("-t=maybe is taken")
	}
}
