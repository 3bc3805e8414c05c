package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// swap exchanges two names again and again, as somebody with a share of the rootfs
// can, until the test calls what it returns: that restores them, and demands that
// they were exchanged often.
func swap(t *testing.T, a, b string, least int) (stop func()) {
	t.Helper()
	end, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-end:
				if n%2 == 1 {
					_ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
				}
				done <- n
				return
			default:
				if unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) == nil {
					n++
				}
			}
		}
	}()
	return func() {
		t.Helper()
		close(end)
		if n := <-done; n < least {
			t.Errorf("only %d exchanges: the race was not run", n)
		}
	}
}

// sharedDir is a directory of a volume that containers share, with files in it.
func sharedDir(b *box, name string, files map[string]string) string {
	b.t.Helper()
	dir := b.dir + "/" + name
	for file, text := range files {
		b.must(os.MkdirAll(dirOf(dir+"/"+file), 0o755))
		b.must(os.WriteFile(dir+"/"+file, []byte(text), 0o666))
	}
	return dir
}

// TestCVE2019_16884: the image has a volume over /proc, with files where the runtime
// would write. It writes to the kernel all the same.
func TestCVE2019_16884(t *testing.T) {
	fakes := map[string]string{"sys/net/ipv4/ip_forward": "fake", "self/attr/exec": "fake", "thread-self/attr/exec": "fake", "self/attr/apparmor/exec": "fake",
		"self/oom_score_adj": "fake", "self/setgroups": "fake", "1/attr/exec": "fake"}
	for _, target := range []string{"/proc", "/proc/sys"} {
		t.Run(strings.ReplaceAll(target[1:], "/", "_"), func(t *testing.T) {
			b := newBox(t)
			dir := sharedDir(b, "fake", fakes)
			source := dir
			if target == "/proc/sys" {
				source += "/sys"
			}
			b.must(os.Mkdir(b.rootfs+"/realproc", 0o755))
			b.edit(bind(source, target, "rw"), mount("/realproc", "proc", "proc"))
			b.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
			b.spec.Process.OOMScoreAdj = ptr(77)
			b.edit(prober("read:/realproc/sys/net/ipv4/ip_forward", "read:/realproc/self/oom_score_adj"))
			r := b.run()
			for file := range fakes {
				if text := readText(t, dir+"/"+file); text != "fake" {
					t.Errorf("%s of the volume was written: %q", file, text)
				}
			}
			if r.Code != 0 {
				t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
			}
			// What the prober prints of its own process is the volume's here.
			if !strings.Contains(r.Stdout, `"read:/realproc/sys/net/ipv4/ip_forward","err":0,"data":"1\n"`) {
				t.Error("the sysctl of the container is not set")
			}
			if !strings.Contains(r.Stdout, `"read:/realproc/self/oom_score_adj","err":0,"data":"77\n"`) {
				t.Error("the OOM score of the container is not set")
			}
		})
	}
}

// TestCVE2025_52881: the volume over /proc has links, to other files of procfs and out
// of the container, where the runtime would write. Nothing is written through them.
func TestCVE2025_52881(t *testing.T) {
	b := newBox(t)
	victim := b.dir + "/victim"
	b.must(os.WriteFile(victim, []byte("untouched"), 0o666))
	b.must(os.Mkdir(b.rootfs+"/realproc", 0o755))
	b.must(os.MkdirAll(b.rootfs+"/evil/net/ipv4", 0o755))
	b.must(os.WriteFile(b.rootfs+"/evil/kept", nil, 0o666))
	targets := []string{victim, "/realproc/self/comm", "/realproc/sys/kernel/shm_rmid_forced", "/evil/kept"}
	b.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	b.edit(mount("/realproc", "proc", "proc"), bind(b.rootfs+"/evil", "/proc/sys"),
		prober("read:/realproc/sys/net/ipv4/ip_forward", "read:/realproc/sys/kernel/shm_rmid_forced", "read:/evil/kept"))
	for _, to := range targets {
		link := b.rootfs + "/evil/net/ipv4/ip_forward"
		_ = os.Remove(link)
		b.must(os.Symlink(to, link))
		r := b.run()
		if r.Code != 0 {
			t.Fatalf("%s: exit code %d\n%s", to, r.Code, r.Stderr)
		}
		rep := b.parse(r.Stdout)
		expect(t, "the sysctl with a link to "+to, rep.result("read:/realproc/sys/net/ipv4/ip_forward").Data, "1\n")
		expect(t, "another sysctl with a link to "+to, rep.result("read:/realproc/sys/kernel/shm_rmid_forced").Data, "0\n")
		expect(t, "a file of the image with a link to "+to, rep.result("read:/evil/kept").Data, "")
		expect(t, "a file of the host with a link to "+to, readText(t, victim), "untouched")
	}
}

// TestCVE2025_52881Race: the directories below a shared /proc/sys are exchanged for
// links while containers are made. Each gets its sysctl, and nobody else does.
func TestCVE2025_52881Race(t *testing.T) {
	b := newBox(t)
	b.must(os.Mkdir(b.rootfs+"/realproc", 0o755))
	victim := sharedDir(b, "victim", map[string]string{"ipv4/ip_forward": "untouched"})
	shared := sharedDir(b, "shared", map[string]string{"net/ipv4/ip_forward": "fake"})
	b.must(os.Symlink(victim, shared+"/evil"))
	b.edit(mount("/realproc", "proc", "proc"), bind(shared, "/proc/sys"), prober("read:/realproc/sys/net/ipv4/ip_forward"))
	b.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	b.writeConfig()
	stop := swap(t, shared+"/net", shared+"/evil", 1000)
	for range 30 {
		r := b.call("run", "--bundle", b.bundle, b.id)
		if r.Code != 0 || !strings.Contains(r.Stdout, `"err":0,"data":"1\n"`) {
			t.Errorf("exit code %d, %s", r.Code, r.Stderr)
			break
		}
	}
	stop()
	expect(t, "the file outside", readText(t, victim+"/ipv4/ip_forward"), "untouched")
	expect(t, "the file of the volume", readText(t, shared+"/net/ipv4/ip_forward"), "fake")
}

// TestCVE2019_19921 (and its return as CVE-2023-27561 and CVE-2023-28642): two
// containers share the directory that has their /proc, and one exchanges it for a
// link while the other is made: procfs is mounted on a real directory, or not at all.
func TestCVE2019_19921(t *testing.T) {
	for _, dir := range []string{"proc", "sys"} {
		t.Run(dir, func(t *testing.T) {
			b := newBox(t, prober("quiet"))
			b.must(os.MkdirAll(b.rootfs+"/evil/self/attr", 0o755))
			b.must(os.Symlink("evil", b.rootfs+"/link"))
			b.spec.Linux.MaskedPaths = []string{"/proc/kcore", "/sys/firmware"}
			b.spec.Linux.ReadonlyPaths = []string{"/proc/sys"}
			b.spec.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/sh",
				Args: []string{"sh", "-c", `grep -q " ` + b.rootfs + `/evil " /proc/self/mountinfo && echo "mounted through the link" >&2 && exit 1; exit 0`}}}}
			b.writeConfig()
			stop := swap(t, b.rootfs+"/"+dir, b.rootfs+"/link", 1000)
			made := 0
			for range 40 {
				r := b.call("run", "--bundle", b.bundle, b.id)
				switch {
				case strings.Contains(r.Stderr, "through the link"):
					t.Fatal(r.Stderr)
				case r.Code == 0:
					made++
				}
			}
			stop()
			t.Logf("%d of 40 containers were made", made)
			b.nothingLeft()
		})
	}
}

// TestCVE2023_25809: a container of a user namespace without a cgroup namespace cannot
// write to the host's cgroups, through a cgroup mount or through all of /sys.
func TestCVE2023_25809(t *testing.T) {
	for name, edit := range map[string]func(*specs.Spec){
		"cgroup": func(s *specs.Spec) {
			mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")(s)
		},
		"rbind": func(s *specs.Spec) {
			s.Mounts[5] = specs.Mount{Destination: "/sys", Type: "none", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "rro"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, userNamespace(100000), edit)
			b.own(100000)
			var ops []string
			for _, h := range hierarchies() {
				ops = append(ops, "mkdir:"+h+"/"+b.id+"-evil", "write:"+h+"/cgroup.procs=1", "write:"+h+"/notify_on_release=1")
			}
			r := b.probe(ops...)
			for _, res := range r.Results {
				if res.Err == 0 {
					t.Errorf("%s succeeded", res.Op)
				}
			}
			for _, h := range hierarchies() {
				if err := os.Remove(h + "/" + b.id + "-evil"); err == nil {
					t.Errorf("a cgroup was made in %s", h)
				}
			}
		})
	}
}
