package cli

import "strconv"

// Kind is what a flag's value is.
type Kind uint8

// The kinds of flags.
const (
	Bool Kind = iota
	Text
	Number // a whole number, decimal or as Go writes it
	List   // text, and the flag may be given more than once
)

// Flag is one row of a command's flags.
type Flag struct {
	Name    string
	Aliases []string // one letter or a second spelling
	Kind    Kind
	Default string // of Text and Number flags, as it is printed
	Arg     string // what the value is, "FILE"; for help and the man page
	Usage   string
	Hidden  bool
}

func (f *Flag) is(name string) bool {
	if f.Name == name {
		return true
	}
	for _, a := range f.Aliases {
		if a == name {
			return true
		}
	}
	return false
}

// values are the flags given on a command line.
type values struct {
	flags []*Flag
	given []given // parallel to flags
}

type given struct {
	text string
	set  bool
	all  []string // of a List
}

func newValues(flags []*Flag) values { return values{flags: flags, given: make([]given, len(flags))} }

func (v *values) find(name string) int {
	for i := range v.flags {
		if v.flags[i].is(name) {
			return i
		}
	}
	return -1
}

// at returns what was given for a flag of the table. A name that is not there
// is a mistake in this program.
func (v *values) at(name string) (*Flag, given) {
	i := v.find(name)
	if i < 0 {
		panic("cli: no flag " + name)
	}
	return v.flags[i], v.given[i]
}

// isSet reports whether the flag was given.
func (v *values) isSet(name string) bool {
	_, g := v.at(name)
	return g.set
}

// str returns the value or the default.
func (v *values) str(name string) string {
	f, g := v.at(name)
	if g.set {
		return g.text
	}
	return f.Default
}

// list returns all values of a flag that may be given more than once.
func (v *values) list(name string) []string {
	_, g := v.at(name)
	return g.all
}

// bool returns a boolean flag's value.
func (v *values) bool(name string) bool {
	_, g := v.at(name)
	b, _ := strconv.ParseBool(g.text)
	return b
}

// int returns a number flag's value; the parser has checked it.
func (v *values) int(name string) int {
	n, _ := strconv.ParseInt(v.str(name), 0, 0)
	return int(n)
}

// put stores one value and checks its form.
func (v *values) put(i int, value string) error {
	f := v.flags[i]
	switch f.Kind {
	case Bool:
		switch value { // crun's words
		case "yes":
			value = "true"
		case "no":
			value = "false"
		}
		if _, err := strconv.ParseBool(value); err != nil {
			return usageError("invalid boolean value " + strconv.Quote(value) + " for -" + f.Name)
		}
	case Number:
		if _, err := strconv.ParseInt(value, 0, 0); err != nil {
			return usageError("invalid value " + strconv.Quote(value) + " for flag -" + f.Name + ": not a whole number")
		}
	}
	g := given{text: value, set: true}
	if f.Kind == List {
		g.all = append(v.given[i].all, value)
	}
	v.given[i] = g
	return nil
}
