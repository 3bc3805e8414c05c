package usage

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tare-oci/tare/internal/cli"
)

var update = flag.Bool("update", false, "write the golden files again")

func help(h cli.Help) string {
	var b bytes.Buffer
	Print(&h, &b)
	return b.String()
}

func TestGoldenHelp(t *testing.T) {
	check := func(name, got string) {
		t.Helper()
		path := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("help of %s differs from %s:\n%s", name, path, got)
		}
	}
	check("tare", help(cli.Help{Program: "tare"}))
	for i := range cli.Commands {
		c := &cli.Commands[i]
		check("tare-"+c.Name, help(cli.Help{Program: "tare", Command: c}))
	}
	check("wrong", help(cli.Help{Program: "tare", Command: &cli.Commands[0], Why: "Incorrect Usage."}))
}

// What engines read: the two first lines, with the name that they called.
func TestFirstLines(t *testing.T) {
	for _, program := range []string{"tare", "runc", "tare-1.2"} {
		if got, want := help(cli.Help{Program: program}), "NAME:\n   "+program+" - Open Container Initiative runtime\n"; !strings.HasPrefix(got, want) {
			t.Errorf("%.80q, want %q", got, want)
		}
		for i := range cli.Commands {
			c := &cli.Commands[i]
			want := "NAME:\n   " + program + " " + c.Name + " - " + c.Usage + "\n"
			if got := help(cli.Help{Program: program, Command: c}); !strings.HasPrefix(got, want) {
				t.Errorf("%.80q, want %q", got, want)
			}
		}
	}
}

func names(flags []*cli.Flag) []string {
	out := []string{}
	for _, f := range flags {
		for _, n := range append([]string{f.Name}, f.Aliases...) {
			out = append(out, dashed(n))
		}
	}
	slices.Sort(out)
	return out
}

var (
	manOption  = regexp.MustCompile(`(?m)^\*\*-.*$`)
	manName    = regexp.MustCompile(`\*\*(--?[A-Za-z][A-Za-z0-9-]*)\*\*`)
	manCommand = regexp.MustCompile(`(?m)^\*\*([a-z]+)\*\*$`)
)

// manFlags reads the options that a man page describes.
func manFlags(page string) []string {
	out := []string{}
	for _, line := range manOption.FindAllString(page, -1) {
		for _, m := range manName.FindAllStringSubmatch(line, -1) {
			out = append(out, m[1])
		}
	}
	slices.Sort(out)
	return out
}

func page(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../../man/" + name + ".8.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every command and flag has its place in the man pages, and nothing else has.
func TestManPages(t *testing.T) {
	top := page(t, "tare")
	if got, want := manFlags(top), names(cli.GlobalFlags); !slices.Equal(got, want) {
		t.Errorf("tare.8.md describes %v, the table has %v", got, want)
	}
	var want, got []string
	for _, m := range manCommand.FindAllStringSubmatch(top, -1) {
		got = append(got, m[1])
	}
	files := []string{"tare.8.md", "tare-seccomp.8.md"} // the other program
	for i := range cli.Commands {
		c := &cli.Commands[i]
		want = append(want, c.Name)
		files = append(files, "tare-"+c.Name+".8.md")
		p := page(t, "tare-"+c.Name)
		if got, want := manFlags(p), names(c.Flags); !slices.Equal(got, want) {
			t.Errorf("tare-%s.8.md describes %v, the table has %v", c.Name, got, want)
		}
		for _, f := range c.Flags {
			if f.Default != "-1" && !strings.Contains(p, f.Default) { // which means none
				t.Errorf("tare-%s.8.md does not say that --%s is %s by default", c.Name, f.Name, f.Default)
			}
		}
		for _, s := range []string{"% tare-" + c.Name + " 8\n", "\ntare-" + c.Name + " - " + c.Usage + "\n", "\n**tare " + c.Name + "**"} {
			if !strings.Contains(p, s) {
				t.Errorf("tare-%s.8.md has no %q", c.Name, s)
			}
		}
		if !strings.Contains(top, "**tare-"+c.Name+"**(8)") {
			t.Errorf("tare.8.md does not point at tare-%s(8)", c.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("tare.8.md lists the commands %v, the table has %v", got, want)
	}
	dir, err := filepath.Glob("../../../man/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range dir {
		if name := filepath.Base(f); !slices.Contains(files, name) && name != "tare-net.8.md" { // the hook is a program of its own
			t.Errorf("%s is about no command", f)
		}
	}
}

func completion(words ...string) []string {
	got := strings.Fields(help(cli.Help{Program: "tare", Complete: append(words, cli.CompletionFlag)}))
	slices.Sort(got)
	return got
}

func long(flags []*cli.Flag) []string {
	out := []string{"--help"}
	for _, f := range flags {
		if !f.Hidden {
			out = append(out, dashed(f.Name))
		}
	}
	slices.Sort(out)
	return out
}

func TestCompletion(t *testing.T) {
	commands := []string{"help"}
	for i := range cli.Commands {
		c := &cli.Commands[i]
		commands = append(commands, c.Name)
		for _, words := range [][]string{{c.Name, "-"}, {"--debug", "--root", "/x", c.Name, "--no"}} {
			if got, want := completion(words...), long(c.Flags); !slices.Equal(got, want) {
				t.Errorf("%v: %v, want %v", words, got, want)
			}
		}
	}
	slices.Sort(commands)
	for _, words := range [][]string{{}, {""}, {"st"}, {"--debug", ""}, {"--root", "/x", ""}} {
		if got := completion(words...); !slices.Equal(got, commands) {
			t.Errorf("%v: %v, want %v", words, got, commands)
		}
	}
	if got, want := completion("--ro"), long(cli.GlobalFlags); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestCompletionOfIDs(t *testing.T) {
	root := t.TempDir()
	for _, id := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(root, id+".json"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range cli.Commands {
		c := &cli.Commands[i]
		want := []string{}
		if c.Existing {
			want = []string{"one", "two"}
		}
		if got := completion("--root", root, c.Name, ""); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.Name, got, want)
		}
		if got := completion("--root", root, c.Name, "one", ""); len(got) != 0 {
			t.Errorf("%s one: %v", c.Name, got)
		}
	}
}
