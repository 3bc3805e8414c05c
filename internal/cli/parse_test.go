package cli

import (
	"slices"
	"strings"
	"testing"
)

var testFlags = []*Flag{
	{Name: "bundle", Aliases: []string{"b"}, Kind: Text, Default: "."},
	{Name: "detach", Aliases: []string{"d"}, Kind: Bool},
	{Name: "no-subreaper", Kind: Bool},
	{Name: "preserve-fds", Kind: Number, Default: "0"},
}

func TestParse(t *testing.T) {
	type want struct {
		rest           string // joined by spaces
		bundle         string
		detach, noReap bool
		fds            int
		err            string
	}
	for _, c := range []struct {
		line string
		stop bool
		want want
	}{
		{line: "", want: want{bundle: "."}},
		{line: "id", want: want{rest: "id", bundle: "."}},
		{line: "--bundle /b id", want: want{rest: "id", bundle: "/b"}},
		{line: "--bundle=/b id", want: want{rest: "id", bundle: "/b"}},
		{line: "-bundle /b id", want: want{rest: "id", bundle: "/b"}},
		{line: "-bundle=/b id", want: want{rest: "id", bundle: "/b"}},
		{line: "-b /b id", want: want{rest: "id", bundle: "/b"}},
		{line: "-b=/b id", want: want{rest: "id", bundle: "/b"}},
		{line: "--b /b id", want: want{rest: "id", bundle: "/b"}},
		{line: "--bundle=a=b id", want: want{rest: "id", bundle: "a=b"}},
		{line: "--bundle= id", want: want{rest: "id", bundle: ""}},
		{line: "--bundle a,b id", want: want{rest: "id", bundle: "a,b"}},
		{line: "--bundle -d id", want: want{rest: "id", bundle: "-d"}}, // the next argument, whatever it is
		{line: "--bundle -- id", want: want{rest: "id", bundle: "--"}},
		{line: "--bundle 1 --bundle 2 id", want: want{rest: "id", bundle: "2"}},
		{line: "-no-subreaper id", want: want{rest: "id", bundle: ".", noReap: true}},
		{line: "--detach=true id", want: want{rest: "id", bundle: ".", detach: true}},
		{line: "--detach=false id", want: want{rest: "id", bundle: "."}},
		{line: "-d=1 id", want: want{rest: "id", bundle: ".", detach: true}},
		{line: "-d false", want: want{rest: "false", bundle: ".", detach: true}}, // a boolean takes no next argument
		{line: "--preserve-fds 3 id", want: want{rest: "id", bundle: ".", fds: 3}},
		{line: "--preserve-fds=-1 id", want: want{rest: "id", bundle: ".", fds: -1}},
		// Flags behind positional arguments.
		{line: "id --bundle /b", want: want{rest: "id", bundle: "/b"}},
		{line: "id -d other", want: want{rest: "id other", bundle: ".", detach: true}},
		{line: "id -- -d", want: want{rest: "id -d", bundle: "."}},
		{line: "-- --bundle", want: want{rest: "--bundle", bundle: "."}},
		{line: "- id", want: want{rest: "- id", bundle: "."}},
		// Commands whose flags end at the first positional argument.
		{line: "-d id -b /b", stop: true, want: want{rest: "id -b /b", bundle: ".", detach: true}},
		{line: "id --help", stop: true, want: want{rest: "id --help", bundle: "."}},
		{line: "-- -d", stop: true, want: want{rest: "-d", bundle: "."}},
		{line: "- -d", stop: true, want: want{rest: "- -d", bundle: "."}},
		// Mistakes.
		{line: "--nope id", want: want{err: "flag provided but not defined: -nope"}},
		{line: "id --nope=1", want: want{err: "flag provided but not defined: -nope"}},
		{line: "-db id", want: want{err: "flag provided but not defined: -db"}}, // no bundling
		{line: "id --bundle", want: want{err: "flag needs an argument: -bundle"}},
		{line: "id -b", want: want{err: "flag needs an argument: -b"}},
		{line: "--detach=maybe id", want: want{err: `invalid boolean value "maybe" for -detach`}},
		{line: "--detach= id", want: want{err: `invalid boolean value "" for -detach`}},
		{line: "--preserve-fds x id", want: want{err: `invalid value "x" for flag -preserve-fds: not a whole number`}},
		{line: "--preserve-fds 99999999999999999999", want: want{err: `invalid value "99999999999999999999" for flag -preserve-fds: not a whole number`}},
		{line: "---bundle x", want: want{err: "bad flag syntax: ---bundle"}},
		{line: "--=x", want: want{err: "bad flag syntax: --=x"}},
		{line: "-=x", want: want{err: "bad flag syntax: -=x"}},
		// Help wins over what follows, and over what is missing.
		{line: "-h", want: want{err: "help requested"}},
		{line: "id --help --nope", want: want{err: "help requested"}},
		{line: "-help", want: want{err: "help requested"}},
	} {
		t.Run(c.line, func(t *testing.T) {
			v := newValues(testFlags)
			rest, err := v.parse(strings.Fields(c.line), c.stop)
			if c.want.err != "" {
				if err == nil || err.Error() != c.want.err {
					t.Fatalf("error %v, want %q", err, c.want.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := want{rest: strings.Join(rest, " "), bundle: v.str("bundle"), detach: v.bool("detach"),
				noReap: v.bool("no-subreaper"), fds: v.int("preserve-fds")}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestParseKeepsEmptyArguments(t *testing.T) {
	v := newValues(testFlags)
	rest, err := v.parse([]string{"", "-b", "", "x"}, false)
	if err != nil || !slices.Equal(rest, []string{"", "x"}) || v.str("bundle") != "" || !v.isSet("bundle") {
		t.Errorf("rest %q, bundle %q set %v, error %v", rest, v.str("bundle"), v.isSet("bundle"), err)
	}
}

func TestFlagThatIsNotInTheTablePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	v := newValues(testFlags)
	v.str("nope")
}
