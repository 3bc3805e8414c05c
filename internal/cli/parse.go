package cli

// usageError is a command line that is not one: it is answered with the
// command's help on stdout as well. Its text follows "Incorrect Usage: ".
type usageError string

func (e usageError) Error() string { return string(e) }

// helpWanted is returned when -h or --help was met.
type helpWanted struct{}

func (helpWanted) Error() string { return "help requested" }

// parse reads flags out of args and returns the rest.
//
// A flag begins with one dash or two, which mean the same; its value follows
// after = or as the next argument, a boolean's only after =. "--" ends the
// flags. With stop the first positional argument does too; without, flags may
// stand behind positional arguments. "-" is a positional argument. Short flags
// are not bundled, and values are not split at commas.
func (v *values) parse(args []string, stop bool) (rest []string, err error) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' {
			if stop {
				return args[i:], nil
			}
			rest = append(rest, a)
			continue
		}
		if a == "--" {
			return append(rest, args[i+1:]...), nil
		}
		name, value, hasValue := splitFlag(a)
		if name == "" {
			return nil, usageError("bad flag syntax: " + a)
		}
		at := v.find(name)
		if at < 0 {
			if name == "h" || name == "help" {
				return nil, helpWanted{}
			}
			return nil, usageError("flag provided but not defined: -" + name)
		}
		if !hasValue {
			if v.flags[at].Kind == Bool {
				value = "true"
			} else if i++; i < len(args) {
				value = args[i]
			} else {
				return nil, usageError("flag needs an argument: -" + name)
			}
		}
		if err := v.put(at, value); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// splitFlag takes "--name=value" apart; name is empty when a is no flag's form.
func splitFlag(a string) (name, value string, hasValue bool) {
	name = a[1:]
	if name[0] == '-' {
		name = name[1:]
	}
	for i := range len(name) {
		if name[i] == '=' {
			name, value, hasValue = name[:i], name[i+1:], true
			break
		}
	}
	if name != "" && name[0] == '-' {
		name = ""
	}
	return name, value, hasValue
}
