// tare-net is the network hook of tare and of any other OCI runtime, and the
// program by which people look at what it has done.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tare-oci/tare/hooks/network"
	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/proxy"
	"github.com/tare-oci/tare/hooks/network/record"
	"github.com/tare-oci/tare/internal/entry"
	"github.com/tare-oci/tare/internal/version"
)

// command is one verb.
type command struct {
	args string
	help string
	run  func(*call) error
}

var commands map[string]command

func init() {
	commands = map[string]command{
		"auto":    {"", "read a container's state on stdin: attach it, or detach it when it has stopped (default)", auto},
		"attach":  {"[ID PID ANNOTATION=VALUE...]", "attach the container of the state on stdin, or a process by hand", attach},
		"detach":  {"[ID...]", "detach the container of the state on stdin, or those named", detach},
		"list":    {"[--json]", "list attachments: container, network, addresses, ports", list},
		"inspect": {"ID", "print all that is known of a container's networks", inspect},
		"check":   {"[ID...]", "compare the records with the kernel; exit status 1 with what differs", check},
		"gc":      {"[--dry-run] [--kept] [--json]", "remove what no living container owns", gc},
		"reload":  {"", "make the packet filter's rules again after somebody has flushed them", reload},
		"who":     {"ADDRESS[:PORT]", "tell which container an address or a port of the host belongs to", who},
		"net":     {"ls | rm NAME | show NAME", "list, remove or print networks", networks},
		"inject":  {"CONFIG.JSON ANNOTATION=VALUE...", "add the hooks and annotations to a config.json", inject},
		"schema":  {"[network | attachments]", "print the JSON schema of network files, or of what list and inspect print", schema},
		"proxy":   {"", "serve published ports (started by attach)", runProxy},
		"version": {"", "print the version", func(c *call) error { fmt.Fprintln(c.out, "tare-net", version.Version()); return nil }},
	}
}

// call is one run of a command.
type call struct {
	opts  network.Options
	args  []string
	flags map[string]bool
	in    io.Reader
	out   io.Writer
}

// defaultPath is root's in Debian's login.defs(5).
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func main() {
	if entry.Added() {
		os.Unsetenv(entry.Env) //nolint:errcheck // it has no NUL
	}
	// A hook whose config gives it no environment has none; iptables and the plugins
	// of CNI are found, and find each other, by this.
	if os.Getenv("PATH") == "" {
		os.Setenv("PATH", defaultPath) //nolint:errcheck // it has no NUL
	}
	if len(os.Args) > 1 && os.Args[len(os.Args)-1] == "proxy" {
		entry.Parallel()
	} else {
		// One thing after the other, mostly system calls: a second processor would
		// only wake threads to look for work (81 context switches become 49).
		runtime.GOMAXPROCS(1)
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, in io.Reader, out, errs io.Writer) int {
	c, name, err := parse(args)
	if err == nil && name == "help" {
		usage(out)
		return 0
	}
	if err == nil {
		c.in, c.out = in, out
		err = commands[name].run(c)
	}
	if err != nil {
		// One line each, whatever a library has put into its text.
		for _, e := range flatten(err) {
			fmt.Fprintln(errs, "tare-net: "+strings.Join(strings.Fields(e.Error()), " "))
		}
		return 1
	}
	return 0
}

// flatten takes joined errors apart that stand at the top.
func flatten(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: tare-net [--state DIR] [--config DIR] [--netns DIR] [--cni-conf DIR] [--cni-bin DIR[:DIR]] [--lock-wait TIME] [COMMAND]")
	names := make([]string, 0, len(commands))
	for n := range commands {
		names = append(names, n)
	}
	sort.Strings(names)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, n := range names {
		fmt.Fprintf(t, "  %s %s\t%s\n", n, commands[n].args, commands[n].help)
	}
	t.Flush()
}

// parse reads flags of places anywhere, and leaves those of commands as words.
func parse(args []string) (*call, string, error) {
	c := &call{flags: map[string]bool{}, opts: network.Options{StateDir: "/run/tare-net", ConfigDir: "/etc/tare-net/networks.d", NetNSDir: "/run/netns",
		CNIConf: "/etc/cni/net.d", CNIBin: []string{"/opt/cni/bin", "/usr/lib/cni"}}}
	if p := os.Getenv("CNI_PATH"); p != "" {
		c.opts.CNIBin = strings.Split(p, ":")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	c.opts.Self = self
	places := map[string]*string{"state": &c.opts.StateDir, "config": &c.opts.ConfigDir, "netns": &c.opts.NetNSDir, "cni-conf": &c.opts.CNIConf, "cni-bin": nil, "lock-wait": nil}
	var words []string
	for i := 0; i < len(args); i++ {
		flag, ok := strings.CutPrefix(args[i], "--")
		if !ok {
			words = append(words, args[i])
			continue
		}
		name, value, given := strings.Cut(flag, "=")
		to, known := places[name]
		if !known {
			switch name {
			case "json", "dry-run", "kept":
				c.flags[name] = true
			case "help":
				return c, "help", nil
			case "version":
				return c, "version", nil
			default:
				return nil, "", fmt.Errorf("--%s: is not known (tare-net help)", name)
			}
			continue
		}
		if !given {
			if i++; i >= len(args) {
				return nil, "", fmt.Errorf("--%s: needs a value", name)
			}
			value = args[i]
		}
		switch {
		case to != nil:
			*to = value
		case name == "cni-bin":
			c.opts.CNIBin = strings.Split(value, ":")
		default:
			if c.opts.LockWait, err = time.ParseDuration(value); err != nil || c.opts.LockWait <= 0 {
				return nil, "", fmt.Errorf("--%s %q: is no time such as 30s", name, value)
			}
		}
	}
	name := "auto"
	if len(words) > 0 {
		name, words = words[0], words[1:]
	}
	if name == "help" {
		return c, name, nil
	}
	if name == "ls" {
		name = "list"
	}
	if _, ok := commands[name]; !ok {
		return nil, "", fmt.Errorf("%q: is no command (tare-net help)", name)
	}
	c.args = words
	return c, name, nil
}

func (c *call) engine(f func(*network.Engine) error) error {
	e, err := network.New(c.opts)
	if err != nil {
		return err
	}
	defer e.Close()
	return f(e)
}

func auto(c *call) error {
	s, err := network.ReadState(c.in)
	if err != nil {
		return err
	}
	return c.engine(func(e *network.Engine) error {
		if s.Ending() {
			return e.Detach(s.ID)
		}
		return e.Attach(s)
	})
}

func attach(c *call) error {
	var s *network.State
	var err error
	if len(c.args) == 0 {
		s, err = network.ReadState(c.in)
	} else {
		s, err = byHand(c.args)
	}
	if err != nil {
		return err
	}
	return c.engine(func(e *network.Engine) error { return e.Attach(s) })
}

// byHand makes a state of ID PID KEY=VALUE...
func byHand(args []string) (*network.State, error) {
	if len(args) < 3 {
		return nil, errors.New("attach: needs ID PID networks=NAME...")
	}
	s := &network.State{ID: args[0], Status: "created", Annotations: map[string]string{}}
	if err := record.ValidID(s.ID); err != nil {
		return nil, err
	}
	if _, err := fmt.Sscanf(args[1], "%d", &s.Pid); err != nil || s.Pid <= 0 {
		return nil, fmt.Errorf("pid %q: is no number of a process", args[1])
	}
	for _, w := range args[2:] {
		k, v, ok := strings.Cut(w, "=")
		if !ok {
			return nil, fmt.Errorf("%q: is not ANNOTATION=VALUE", w)
		}
		s.Annotations[config.Prefix+strings.TrimPrefix(k, config.Prefix)] = v
	}
	return s, nil
}

func detach(c *call) error {
	ids := c.args
	if len(ids) == 0 {
		s, err := network.ReadState(c.in)
		if err != nil {
			return err
		}
		ids = []string{s.ID}
	}
	return c.engine(func(e *network.Engine) error {
		var errs []error
		for _, id := range ids {
			errs = append(errs, e.Detach(id))
		}
		return errors.Join(errs...)
	})
}

func (c *call) json(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func list(c *call) error {
	return c.engine(func(e *network.Engine) error {
		all := e.Store().All()
		if c.flags["json"] {
			if all == nil {
				all = []*record.Attachment{}
			}
			return c.json(all)
		}
		t := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "ID\tNETWORK\tIFNAME\tLINK\tADDRESSES\tPORTS")
		for _, a := range all {
			var ips, ports []string
			for _, p := range a.IPs {
				ips = append(ips, p.String())
			}
			for _, p := range a.Ports {
				ports = append(ports, p.String())
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", a.ID, a.Network, a.IfName, dash(a.Link), dash(strings.Join(ips, ",")), dash(strings.Join(ports, ",")))
		}
		return t.Flush()
	})
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func inspect(c *call) error {
	if len(c.args) != 1 {
		return errors.New("inspect: needs one container id")
	}
	return c.engine(func(e *network.Engine) error {
		if err := record.ValidID(c.args[0]); err != nil {
			return err
		}
		found := e.Store().Of(c.args[0])
		if len(found) == 0 {
			return fmt.Errorf("container %q: has no network of tare-net: %w", c.args[0], fs.ErrNotExist)
		}
		return c.json(found)
	})
}

func check(c *call) error {
	return c.engine(func(e *network.Engine) error {
		var errs []error
		for _, w := range e.Check(c.args...) {
			errs = append(errs, errors.New("check "+w))
		}
		return errors.Join(errs...)
	})
}

func gc(c *call) error {
	return c.engine(func(e *network.Engine) error {
		s, err := e.GC(c.flags["dry-run"], c.flags["kept"])
		if s != nil && c.flags["json"] {
			return errors.Join(err, c.json(s))
		}
		if s != nil && !s.Empty() {
			fmt.Fprintf(c.out, "%d attachments, %d links, %d networks, %d leases, %d ports, %d rules, %d files\n",
				len(s.Attachments), len(s.Links), len(s.Networks), len(s.Leases), len(s.Ports), s.Rules, s.Files)
		}
		return err
	})
}

func reload(c *call) error {
	return c.engine(func(e *network.Engine) error { return e.Reload() })
}

func who(c *call) error {
	if len(c.args) != 1 {
		return errors.New("who: needs ADDRESS or ADDRESS:PORT")
	}
	return c.engine(func(e *network.Engine) error {
		found, err := e.Who(c.args[0])
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("%s: belongs to no container", c.args[0])
		}
		for _, a := range found {
			fmt.Fprintf(c.out, "%s\tnetwork %s\tpid %d\tbundle %s\n", a.ID, a.Network, a.Init.Pid, dash(a.Bundle))
		}
		return nil
	})
}

func runProxy(c *call) error { return proxy.Run(c.in, c.out) }
