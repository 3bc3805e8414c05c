package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// machines is how many run at the same time for one cache: each wants two cores
// and two gigabytes.
const machines = 2

// machine is one start of the guest.
type machine struct {
	img     image
	cache   string
	payload payload
	append  string        // to the kernel's command line
	limit   time.Duration // for everything
	console string        // a file for what the kernel and systemd say, "" for none
}

// errNoEnd says that the guest ended without the last line of its script.
var errNoEnd = errors.New("the guest ended before its program did")

// run starts the guest, copies the program's output to out as it comes, and
// returns the program's exit code.
func (m *machine) run(ctx context.Context, out io.Writer) (code int, err error) {
	release, err := m.slot(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	work, err := os.MkdirTemp(m.cache, "run-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	if err := m.payload.write(work + "/payload.tar"); err != nil {
		return 0, err
	}
	if err := os.WriteFile(work+"/scratch", nil, 0o644); err != nil {
		return 0, err
	}
	if err := os.Truncate(work+"/scratch", 256<<20); err != nil { // holes: it costs nothing
		return 0, err
	}
	console := work + "/console"
	if m.console != "" {
		console = m.console
	}
	ctx, cancel := context.WithTimeout(ctx, m.limit)
	defer cancel()
	c := exec.CommandContext(ctx, "nice", append([]string{"-n", "10", "qemu-system-x86_64"}, m.arguments(work, console)...)...)
	c.Env = append(os.Environ(), "TMPDIR="+work)
	var errs bytes.Buffer
	c.Stderr = &errs
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	c.Cancel = func() error { return unix.Kill(-c.Process.Pid, unix.SIGKILL) }
	c.WaitDelay = 10 * time.Second
	r, err := c.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := c.Start(); err != nil {
		return 0, err
	}
	code, err = copyOutput(r, out)
	waited := c.Wait()
	switch {
	case ctx.Err() != nil:
		return 0, fmt.Errorf("not finished after %s\n%s", m.limit, lastOf(console))
	case err != nil:
		return 0, fmt.Errorf("%w\n%s%s", err, errs.Bytes(), lastOf(console))
	case waited != nil:
		return 0, fmt.Errorf("qemu: %w\n%s", waited, errs.Bytes())
	}
	return code, nil
}

// arguments are qemu's. The root disk is not changed: what the guest writes goes
// to a file that has no name any more.
func (m *machine) arguments(work, console string) []string {
	disk := func(file, more string) []string {
		return []string{"-drive", "if=virtio,format=raw,cache=unsafe,discard=unmap,file=" + file + more}
	}
	args := []string{"-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-smp", "2", "-m", "2048",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-rtc", "base=utc",
		"-kernel", m.img.kernel, "-initrd", m.img.initrd,
		"-append", strings.TrimSpace("console=ttyS0 panic=-1 mitigations=off nokaslr no_timer_check tsc=reliable audit=0 " +
			"swapaccount=1 systemd.unit=tare-vm.target systemd.show_status=0 systemd.log_target=console systemd.log_level=notice " + m.append),
		"-chardev", "file,id=console,path=" + console, "-serial", "chardev:console",
		"-chardev", "stdio,id=out,signal=off", "-serial", "chardev:out"}
	args = append(args, disk(m.img.disk, ",snapshot=on")...)
	args = append(args, disk(work+"/payload.tar", ",readonly=on")...)
	return append(args, disk(work+"/scratch", "")...)
}

// slot waits until one of the few places for machines is free.
func (m *machine) slot(ctx context.Context) (release func(), err error) {
	for {
		for i := range machines {
			release, err = lock(filepath.Join(m.cache, "machine-"+strconv.Itoa(i)+".lock"), unix.LOCK_EX|unix.LOCK_NB)
			if err == nil || !errors.Is(err, unix.EWOULDBLOCK) {
				return release, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// copyOutput passes on what the guest's program prints, line by line, up to the
// line with the exit code.
func copyOutput(r io.Reader, out io.Writer) (code int, err error) {
	in := bufio.NewReader(r)
	held := "" // a line break that may belong to the last line
	ended := false
	for {
		line, err := in.ReadString('\n')
		if word, ok := strings.CutPrefix(line, exitMark); ok {
			if code, err = strconv.Atoi(strings.TrimSpace(word)); err != nil {
				return 0, fmt.Errorf("%q: %w", line, err)
			}
			ended, held = true, ""
		} else if line != "" && !ended {
			text := held + line
			held = ""
			if text == "\n" {
				held = text
			} else if _, err := io.WriteString(out, text); err != nil {
				return 0, err
			}
		}
		if err == io.EOF {
			if !ended {
				return 0, errNoEnd
			}
			return code, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// lastOf is the end of the console, for the message of a failure.
func lastOf(console string) string {
	data, err := os.ReadFile(console)
	if err != nil || len(data) == 0 {
		return "the console is empty"
	}
	return "the end of the console:\n" + string(tail(data))
}
