package network

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// N-61: killed in each step, of the way there and back; then gc. The neighbour
// is not touched.
func TestN61KilledInEachStep(t *testing.T) {
	for _, filter := range []string{"nftables", "iptables"} {
		t.Run(filter, func(t *testing.T) { killedInEachStep(t, filter) })
	}
}

func killedInEachStep(t *testing.T, filter string) {
	l := newLab(t)
	l.leaky = true
	var flavour []string
	if filter == "iptables" {
		need(t, "iptables-nft")
		flavour = []string{"TARE_NET_IPTABLES=nft"}
		l.env = flavour
		l.keepsTables("nft")
	}
	l.web(`"firewall": "` + filter + `"`)
	l.box("alive", "networks=web", "ports=9090:80").up()
	l.hook = faulty
	before := l.picture() + strings.Join(l.files(), "\n")
	for _, step := range append(steps, "detach-begin", "detach-rules", "detach-lease") {
		l.env = append([]string{"TARE_NET_FAULT=kill:" + step}, flavour...)
		c := l.box("k-"+step, strings.Fields(everything)...).capability("CAP_NET_ADMIN")
		r := c.tryCreate()
		if strings.HasPrefix(step, "detach") {
			if r.code != 0 {
				t.Fatalf("%s: %s", step, r.err)
			}
			c.oci("delete", "--force", c.id)
			c.alive = false
		} else if r.code == 0 {
			t.Errorf("%s: created", step)
			c.down()
		}
		l.env = flavour
		l.waitFor("gc after a kill at "+step, func() bool {
			l.tn("gc")
			return l.picture()+strings.Join(l.files(), "\n") == before && len(l.proxies()) == 0
		})
		if out := l.tn("gc"); out != "" {
			t.Errorf("%s: gc twice: %s", step, out)
		}
	}
	if p := l.ask(l.w, "tcp", "203.0.113.1:9090"); p != "203.0.113.2" {
		t.Errorf("the neighbour after it all: %q", p)
	}
	if out := l.net("check"); out.code != 0 {
		t.Errorf("check: %s", out.err)
	}
}

// victims are what is killed at random, how often, and how often when all that is
// asked for is run.
var victims = []struct {
	name      string
	filter    string
	some, all int
}{
	{"hook", "nftables", 20, 50},
	{"hook, iptables", "iptables", 8, 50},
	{"hook, cni", "", 8, 50},
	{"tare", "nftables", 5, 20},
	{"runc", "nftables", 5, 20},
	{"crun", "nftables", 5, 20},
	{"tare, iptables", "iptables", 5, 20},
	{"tare, cni", "", 5, 20},
}

// N-61: the hook and the runtime are killed at random moments.
func TestN61KilledAtRandom(t *testing.T) {
	for _, v := range victims {
		t.Run(v.name, func(t *testing.T) {
			l := newLab(t)
			l.leaky = true
			victim, _, _ := strings.Cut(v.name, ",")
			if victim != "hook" {
				if runtimes[victim] == "" {
					t.Skip(victim + " is not installed")
				}
				l.runtime = victim
			}
			switch v.filter {
			case "":
				l.plugins("")
			case "iptables":
				need(t, "iptables-nft")
				l.env = []string{"TARE_NET_IPTABLES=nft"}
				l.keepsTables("nft")
				fallthrough
			default:
				l.web(`"firewall": "` + v.filter + `"`)
			}
			words := []string{"networks=web", "ports=8080:80"}
			l.box("once", words...).up().down() // the chains that plugins never remove
			// It is killed in the time that it needs.
			start := time.Now()
			if victim == "hook" {
				l.tn("attach", "first", itoa(l.sleeper()), words[0], "ports=8081:80")
			} else {
				l.box("first", words[0]).up()
			}
			span := time.Since(start)
			here := func() string { return l.picture() + strings.Join(l.files(), "\n") + l.leases() }
			before := here()
			// Those count that were killed before their end.
			killed, want := 0, full(v.some, v.all)
			for i := 0; killed < want && i < 5*want; i++ {
				c := l.box(fmt.Sprint("r", i), words...)
				var cmd *exec.Cmd
				if victim == "hook" {
					cmd = exec.Command("nsenter", append([]string{"--net=/run/netns/" + l.h, l.hook}, l.hookArgs("attach", c.id, itoa(l.sleeper()), "networks=web", "ports=8080:80")[1:]...)...)
				} else {
					c.write()
					cmd = exec.Command("nsenter", "--net=/run/netns/"+l.h, runtimes[victim], "--root", c.root, "create", "--bundle", c.bundle, c.id)
				}
				cmd.Env = append(os.Environ(), l.env...)
				l.must(cmd.Start())
				time.Sleep(rand.N(span))
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				if cmd.ProcessState.ExitCode() == -1 {
					killed++
					span = span * 9 / 8
				} else {
					span = max(span*3/4, time.Millisecond) // it needs less than thought
				}
				if victim != "hook" {
					c.alive = true
					c.oci("delete", "--force", c.id)
					c.alive = false
					if left := cgroupsNamed(c.id); victim == "tare" && len(left) > 0 {
						t.Errorf("delete --force leaves the cgroups %q of a creation that was killed", left)
					}
					c.killRest()
				}
				l.waitFor("gc after a kill", func() bool {
					l.tn("gc")
					if victim == "hook" {
						l.tn("detach", c.id) // it may have finished
					}
					return here() == before
				})
			}
			if killed < want {
				t.Errorf("%d were killed before their end, of %d", killed, 5*want)
			}
			if victim == "hook" {
				l.tn("detach", "first")
			}
			l.endPlugins()
		})
	}
}

// killRest ends what a killed runtime has left of a container: processes whose
// cgroup has the container's id, and the cgroups.
func (b *box) killRest() {
	procs, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, p := range procs {
		if data, _ := os.ReadFile(p); strings.Contains(string(data), b.id) {
			var pid int
			if _, err := fmt.Sscanf(p, "/proc/%d/cgroup", &pid); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		dirs := cgroupsNamed(b.id)
		if len(dirs) == 0 {
			return
		}
		for _, d := range dirs {
			_ = os.Remove(d)
		}
	}
}

// cgroupsNamed lists the cgroups of that name in all hierarchies: a runtime puts them
// below its caller's, wherever that is.
func cgroupsNamed(name string) []string {
	var dirs []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // removed meanwhile
		}
		if d.IsDir() && d.Name() == name {
			dirs = append(dirs, path)
			return filepath.SkipDir
		}
		return nil
	})
	return dirs
}
