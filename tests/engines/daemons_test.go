package engines

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait; nothing takes that long on an idle machine.
const patience = 90 * time.Second

// daemon is an engine's server, started once for all tests that need it.
type daemon struct {
	name  string
	words []string // the command
	env   []string // beside the tests' own
	files [][2]string
	ready []string // succeeds when it serves
	more  func() error

	once sync.Once
	err  error
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// Each with the configuration that is shipped: contrib/FILE is installed as the
// engine's own file. Options on the command line are those of the test alone.
var (
	dockerd = &daemon{
		name:  "dockerd",
		words: []string{"dockerd", "--live-restore", "--storage-driver=overlay2"},
		files: [][2]string{{"docker/daemon.json", "/etc/docker/daemon.json"}},
		ready: []string{"docker", "version"},
	}
	containerd = &daemon{
		name:  "containerd",
		words: []string{"containerd"},
		files: [][2]string{{"containerd/config.toml", "/etc/containerd/config.toml"}},
		ready: []string{"ctr", "version"},
		more:  prepareContainerd,
	}
)

// daemons, in the order in which they are stopped.
var daemons = []*daemon{dockerd, containerd}

// need starts the daemon, and what it needs, unless that was done.
func (d *daemon) need(t *testing.T) {
	t.Helper()
	needEngines(t)
	d.once.Do(func() {
		if d.err = installFiles(d.files); d.err == nil && d.more != nil {
			d.err = d.more()
		}
		if d.err == nil {
			d.err = d.start()
		}
	})
	if d.err != nil {
		t.Fatal(d.err)
	}
}

func (d *daemon) start() error {
	log, err := os.OpenFile(d.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd = exec.Command(d.words[0], d.words[1:]...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.Env = append(os.Environ(), d.env...)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	cmd, done := d.cmd, make(chan struct{})
	d.done = done
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		select {
		case <-done:
			return fmt.Errorf("%s has ended:\n%s", d.name, d.lastWords())
		default:
		}
		if exec.Command(d.ready[0], d.ready[1:]...).Run() == nil {
			return nil
		}
	}
	return fmt.Errorf("%s does not serve:\n%s", d.name, d.lastWords())
}

func (d *daemon) log() string { return "/run/engines/" + d.name + ".log" }

func (d *daemon) lastWords() string {
	data, _ := os.ReadFile(d.log())
	if len(data) > 6000 {
		data = data[len(data)-6000:]
	}
	return string(data)
}

// end signals the daemon and waits for its end.
func (d *daemon) end(signal syscall.Signal) error {
	if d.cmd == nil {
		return nil
	}
	if err := d.cmd.Process.Signal(signal); err != nil && signal != syscall.SIGKILL {
		return fmt.Errorf("%s was gone already:\n%s", d.name, d.lastWords())
	}
	select {
	case <-d.done:
		d.cmd = nil
		return nil
	case <-time.After(patience):
		_ = d.cmd.Process.Kill() // reported by the caller
		return fmt.Errorf("%s does not end by %v:\n%s", d.name, signal, d.lastWords())
	}
}

// stopDaemons ends all and lists what is left.
func stopDaemons() []string {
	var left []string
	for _, d := range daemons {
		if err := d.end(syscall.SIGTERM); err != nil {
			left = append(left, err.Error())
		}
	}
	return append(left, leftovers()...)
}

// installFiles copies files of contrib to where the engines look for them.
func installFiles(files [][2]string) error {
	for _, f := range files {
		data, err := os.ReadFile("/run/engines/contrib/" + f[0])
		if err != nil {
			return err
		}
		if err := os.MkdirAll(f[1][:strings.LastIndexByte(f[1], '/')], 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f[1], data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
