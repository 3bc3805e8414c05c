package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	run, append, console, cgroup string
	only, test                   string
	files                        []hostFile
	limit                        time.Duration
	build                        bool
	args                         []string
}

func main() {
	var o options
	flag.StringVar(&o.run, "run", "", "run this `PROGRAM` in the guest, with the words behind --")
	flag.Func("file", "copy a file or folder into the guest, `SRC:DST`; may be repeated", func(s string) error {
		f, err := parseFile(s)
		o.files = append(o.files, f)
		return err
	})
	flag.StringVar(&o.append, "append", "", "add `WORDS` to the kernel's command line")
	flag.StringVar(&o.console, "console", "", "write what the kernel and systemd say to this `FILE`")
	flag.StringVar(&o.cgroup, "cgroup", "v2", "boot with cgroup `v2` or v1")
	flag.DurationVar(&o.limit, "timeout", 18*time.Minute, "end the guest after this `TIME`")
	flag.BoolVar(&o.build, "build", false, "make the image if it is missing, and end")
	flag.StringVar(&o.only, "only", "", "of the ring, run only the boots with this `WORD` in their name: v1, v2")
	flag.StringVar(&o.test, "test", "", "of the ring, run only the tests that match this `PATTERN`")
	flag.Parse()
	o.args = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := o.main(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		code = 1
	}
	os.Exit(code)
}

func (o *options) main(ctx context.Context) (code int, err error) {
	if runtime.GOARCH != "amd64" {
		if o.run == "" && !o.build { // as the ring: a test that finds no place
			fmt.Printf(`{"Action":"output","Package":"tests/vm","Test":"Guest","Output":"the guest is an amd64 machine, this is %s\n"}`+"\n", runtime.GOARCH)
			fmt.Println(`{"Action":"skip","Package":"tests/vm","Test":"Guest"}`)
			return 0, nil
		}
		return 0, fmt.Errorf("the guest is an amd64 machine, and runs programs for it; this is %s", runtime.GOARCH)
	}
	if os.Geteuid() != 0 {
		return 0, fmt.Errorf("the image can only be made, and its files read, by root")
	}
	cache, err := cacheDir()
	if err != nil {
		return 0, err
	}
	img, err := buildImage(ctx, cache)
	if err != nil || o.build {
		return 0, err
	}
	m := machine{img: img, cache: cache, append: o.append, limit: o.limit, console: o.console}
	switch o.cgroup {
	case "v2":
	case "v1":
		m.append = strings.TrimSpace(appendV1 + " " + m.append)
	default:
		return 0, fmt.Errorf("--cgroup %q: want v1 or v2", o.cgroup)
	}
	if o.run == "" {
		ok, err := o.ring(ctx, img, cache)
		if err != nil || !ok {
			return 1, err
		}
		return 0, nil
	}
	m.payload = programPayload(o.run, o.args, o.files)
	return m.run(ctx, os.Stdout)
}

// programPayload runs one program with its words.
func programPayload(program string, args []string, files []hostFile) payload {
	const at = "/payload/program"
	words := []string{at}
	for _, a := range args {
		words = append(words, quote(a))
	}
	return payload{script: "exec " + strings.Join(words, " ") + "\n", files: append([]hostFile{{program, at}}, files...)}
}

// quote makes one word for sh(1) of any string.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
