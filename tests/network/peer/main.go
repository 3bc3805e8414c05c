// peer is both ends of the network tests: it runs inside containers, on the
// host's side and outside, and says who it was talked to by.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fail(errors.New("usage: peer serve|ask|pour|drain|frame|sctp|sctp-wait|hold|memory"))
	}
	verbs := map[string]func([]string) error{"serve": serve, "ask": ask, "pour": pour, "drain": drain, "frame": frame, "sctp": sctpInit,
		"sctp-wait": sctpWait, "sctp-serve": sctpServe, "sctp-ask": sctpAsk, "hold": hold, "burst": burst, "memory": memory}
	run := verbs[os.Args[1]]
	if run == nil {
		fail(fmt.Errorf("%s: no such verb", os.Args[1]))
	}
	if err := run(os.Args[2:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "peer:", err)
	os.Exit(1)
}

// hold does nothing for ever.
func hold([]string) error {
	for {
		time.Sleep(time.Hour)
	}
}

// serve answers on TCP and UDP ports of all addresses, or of ADDRESS:PORT.
func serve(ports []string) error {
	for _, p := range ports {
		if !strings.Contains(p, ":") {
			p = ":" + p
		}
		l, err := net.Listen("tcp", p)
		if err != nil {
			return err
		}
		u, err := net.ListenPacket("udp", p)
		if err != nil {
			return err
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go answer(c)
			}
		}()
		go func() {
			b := make([]byte, 2048)
			for {
				_, from, err := u.ReadFrom(b)
				if err != nil {
					continue
				}
				name, _ := os.Hostname()
				fmt.Println("udp from", from)
				_, _ = u.WriteTo([]byte(fmt.Sprintf("peer=%s host=%s", addressOf(from), name)), from)
			}
		}()
	}
	fmt.Println("ready")
	return hold(nil)
}

func addressOf(a net.Addr) string {
	host, _, _ := net.SplitHostPort(a.String())
	return strings.TrimPrefix(host, "::ffff:")
}

func answer(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	f := strings.Fields(line)
	switch {
	case len(f) == 2 && f[0] == "take":
		n, _ := strconv.ParseInt(f[1], 10, 64)
		_, _ = io.CopyN(io.Discard, r, n)
		fmt.Fprintln(c, "done")
	case len(f) == 2 && f[0] == "give":
		n, _ := strconv.ParseInt(f[1], 10, 64)
		_, _ = io.CopyN(c, zeroes{}, n)
	default:
		name, _ := os.Hostname()
		fmt.Fprintf(c, "peer=%s host=%s\n", addressOf(c.RemoteAddr()), name)
	}
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// ask tcp|udp ADDRESS:PORT [WAIT [LOCALPORT]] prints the answer. A refused
// connection is tried again until the wait is over: the server may be starting.
func ask(args []string) error {
	proto, to, wait := args[0], args[1], 3*time.Second
	if len(args) > 2 {
		var err error
		if wait, err = time.ParseDuration(args[2]); err != nil {
			return err
		}
	}
	d := net.Dialer{Timeout: wait}
	if len(args) > 3 {
		port, _ := strconv.Atoi(args[3])
		if proto == "udp" {
			d.LocalAddr = &net.UDPAddr{Port: port}
		} else {
			d.LocalAddr = &net.TCPAddr{Port: port}
		}
	}
	end := time.Now().Add(wait)
	for {
		text, err := once(d, proto, to, end)
		if err == nil {
			fmt.Println(text)
			return nil
		}
		if time.Now().After(end) || !errors.Is(err, syscall.ECONNREFUSED) && !(proto == "udp" && errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func once(d net.Dialer, proto, to string, end time.Time) (string, error) {
	c, err := d.Dial(proto, to)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if proto == "udp" {
		// Datagrams may be lost before the server is there.
		try := time.Now().Add(200 * time.Millisecond)
		if try.After(end) {
			try = end
		}
		end = try
	}
	_ = c.SetDeadline(end)
	if _, err := fmt.Fprintln(c, "who"); err != nil {
		return "", err
	}
	b := make([]byte, 512)
	n, err := c.Read(b)
	return strings.TrimSpace(string(b[:n])), err
}

// pour and drain move bytes and print the seconds it took.
func pour(args []string) error  { return move(args, "take") }
func drain(args []string) error { return move(args, "give") }

func move(args []string, verb string) error {
	n, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	c, err := net.DialTimeout("tcp", args[0], 3*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	start := time.Now()
	fmt.Fprintf(c, "%s %d\n", verb, n)
	if verb == "take" {
		if _, err := io.CopyN(c, zeroes{}, n); err != nil {
			return err
		}
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			return err
		}
	} else if got, err := io.Copy(io.Discard, c); err != nil || got != n {
		return fmt.Errorf("%d of %d bytes: %w", got, n, err)
	}
	fmt.Printf("%.6f\n", time.Since(start).Seconds())
	return nil
}

// burst ADDRESS:PORT COUNT sends datagrams.
func burst(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	to, err := net.ResolveUDPAddr("udp", args[0])
	if err != nil {
		return err
	}
	// Not connected: nobody listens, and the refusals would be errors of the next.
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		return err
	}
	for range n {
		_, _ = c.WriteTo([]byte("x"), to)
		time.Sleep(time.Millisecond)
	}
	return nil
}

// memory runs a program and prints the KiB that it had at most. A child begins with
// what its parent has (getrusage(2)), which of this program is little.
func memory(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	fmt.Println(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	return nil
}
