package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/proxy"
	"github.com/tare-oci/tare/hooks/network/record"
	"github.com/tare-oci/tare/internal/sys"
)

func (e *Engine) proxyFile(key string) string { return filepath.Join(e.StateDir, "proxy", key) }

// startProxy starts one process for all published ports of a container, when the
// network or the container wants it, and waits until it listens.
func (w *work) startProxy() error {
	if w.req.Proxy == "off" || w.req.Proxy != "on" && !w.n.Proxy || len(w.a.Ports) == 0 {
		return nil
	}
	if err := w.at("proxy"); err != nil {
		return err
	}
	job := proxy.Job{Container: w.init.Pid, PidFile: w.proxyFile(w.a.Key)}
	p := endpoint(w.a)
	for _, port := range w.a.Ports {
		if port.Proto == "sctp" {
			continue // served by the packet filter alone
		}
		job.Ports = append(job.Ports, proxy.Port{Port: port, IP4: p.IP4(), IP6: p.IP6()})
	}
	data, err := json.Marshal(job)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(job.PidFile), 0o700); err != nil {
		return err
	}
	ready, err := os.OpenFile(fmt.Sprintf("%s/proxy.%d~", w.StateDir, os.Getpid()), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(ready.Name())
	defer ready.Close()
	w.a.Proxy = true
	w.later(func() error { w.stopProxy(w.a); return nil })
	cmd := exec.Command(w.Self, "proxy")
	// It outlives the hook: no stream and no terminal of the runtime stays open.
	cmd.Stdin, cmd.Stdout = strings.NewReader(string(data)), ready
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env, cmd.Dir = []string{}, "/"
	if err := sys.AsCaller(cmd.Start); err != nil {
		return fmt.Errorf("userland proxy: %w", err)
	}
	dead := make(chan error, 1)
	go func() { dead <- cmd.Wait() }()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if text, _ := os.ReadFile(ready.Name()); len(text) > 0 {
			if s := strings.TrimSpace(string(text)); s != "ready" {
				return fmt.Errorf("userland proxy: %s", s)
			}
			return nil
		}
		select {
		case err := <-dead:
			return fmt.Errorf("userland proxy: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
	return errors.New("userland proxy: does not become ready")
}

// stopProxy ends the proxy of an attachment, by a descriptor of the process that
// was verified to be it.
func (e *Engine) stopProxy(a *record.Attachment) {
	file := e.proxyFile(a.Key)
	var p record.Process
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, &p) != nil {
		return
	}
	if fd, err := unix.PidfdOpen(p.Pid, 0); err == nil {
		if p.Alive() {
			_ = unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0) // ends by itself otherwise
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 2000)
		}
		unix.Close(fd)
	}
	_ = os.Remove(file)
}
