package engines

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ptyMain is the program "pty" of the scripts: it runs a command on a terminal of
// its own and has the dialogue with it that stdin describes, one step a line:
//
//	expect REGEXP     wait until the output after the last match has it; prints
//	                  the first group, or nothing when there is none
//	send TEXT         type TEXT, with the escapes of a Go string (\r, \x03)
//	size ROWS COLS    resize the terminal
//
// After the last step it waits for the command and prints "exit N".
func ptyMain(words []string) int {
	steps := bufio.NewScanner(os.Stdin)
	p, err := startPty(words)
	if err != nil {
		fmt.Println("pty:", err)
		return 1
	}
	for steps.Scan() {
		line := strings.TrimLeft(steps.Text(), " \t")
		if line == "" {
			continue
		}
		if err := p.step(line); err != nil {
			fmt.Printf("pty: %s: %v\nthe terminal shows %q\n", line, err, p.shown())
			_ = p.cmd.Process.Kill() // the fault is reported
			return 1
		}
	}
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			fmt.Println("pty:", err)
			return 1
		}
		fmt.Println("exit", p.cmd.ProcessState.ExitCode())
		return 0
	case <-time.After(patience):
		fmt.Printf("pty: the command does not end; the terminal shows %q\n", p.shown())
		_ = p.cmd.Process.Kill() // the fault is reported
		return 1
	}
}

// pty is a command on a terminal.
type pty struct {
	master *os.File
	cmd    *exec.Cmd
	seen   int // of text, by the last match

	mu   sync.Mutex
	text []byte
}

func startPty(words []string) (*pty, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/pts/"+strconv.Itoa(n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	slave := os.NewFile(uintptr(fd), "terminal")
	defer slave.Close()
	p := &pty{master: master, cmd: exec.Command(words[0], words[1:]...)}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.read()
	return p, nil
}

func (p *pty) read() {
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		p.mu.Lock()
		p.text = append(p.text, buf[:n]...)
		p.mu.Unlock()
		if err != nil {
			return // EIO: nobody has the terminal open any more
		}
	}
}

func (p *pty) shown() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.text)
}

func (p *pty) step(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "expect":
		re, err := regexp.Compile(rest)
		if err != nil {
			return err
		}
		for end := time.Now().Add(patience / 3); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			text := p.shown()[p.seen:]
			m := re.FindStringSubmatchIndex(text)
			if m == nil {
				continue
			}
			p.seen += m[1]
			if len(m) > 2 {
				fmt.Println(text[m[2]:m[3]])
			}
			return nil
		}
		return errors.New("not shown")
	case "send":
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(rest, `"`, `\"`) + `"`)
		if err != nil {
			return err
		}
		_, err = io.WriteString(p.master, text)
		return err
	case "size":
		var rows, cols uint16
		if _, err := fmt.Sscan(rest, &rows, &cols); err != nil {
			return err
		}
		return unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	}
	return errors.New("no such step")
}
