package cli

// Command is one row of the table that the parser, help, completion and the
// tests of the man pages read. Rows are plain data: the linker lays them out,
// and nothing is built when tare starts.
type Command struct {
	Name        string
	Args        string // "ID [SIGNAL]"
	Usage       string
	Description string
	Flags       []*Flag
	min, max    int  // number of positional arguments; max < 0 for no limit
	stop        bool // flags end at the first positional argument
	whole       bool // not in the front: see package whole
	Existing    bool // the first positional argument is the id of a container that exists
	run         func(*call) error
}

const (
	sectionID = "ID names the container; it consists of letters, digits and the characters _ + . -"
)

// GlobalFlags stand in front of the command.
var GlobalFlags = []*Flag{
	{Name: "root", Kind: Text, Arg: "DIR", Usage: "directory of the containers' states (default: /run/tare; rootless: $XDG_RUNTIME_DIR/tare)"},
	{Name: "log", Kind: Text, Arg: "FILE", Usage: "append errors and warnings to FILE, or file:FILE; or send them to journald:ID or syslog:ID"},
	{Name: "log-format", Kind: Text, Arg: "FORMAT", Default: "text", Usage: "format of the log: text or json"},
	{Name: "log-level", Kind: Text, Arg: "LEVEL", Default: "warning", Usage: "least level that is logged: debug, info, warning or error"},
	{Name: "debug", Kind: Bool, Usage: "log everything, and print warnings on stderr"},
	{Name: "systemd-cgroup", Kind: Bool, Usage: "use systemd's cgroup driver, as --cgroup-manager systemd does"},
	{Name: "cgroup-manager", Kind: Text, Arg: "NAME", Default: "cgroupfs", Usage: "who makes cgroups: cgroupfs, systemd, or disabled for none"},
	{Name: "rootless", Kind: Text, Arg: "BOOL", Default: "auto", Usage: "true, false or auto; accepted, and without effect: privilege is looked up where it is needed"},
	{Name: "seccomp-compiler", Kind: Text, Arg: "NAME", Default: "tare", Usage: "who compiles seccomp profiles: tare, or libseccomp by the program tare-seccomp"},
	{Name: "criu", Kind: Text, Arg: "PROGRAM", Default: "criu", Usage: "what checkpoint and restore start as CRIU"},
	{Name: "version", Aliases: []string{"v", "V"}, Kind: Bool, Usage: "print the version"},
}

// The flags that create, run and plan share: what has a say in the plan.
var (
	flagBundle       = Flag{Name: "bundle", Aliases: []string{"b"}, Kind: Text, Arg: "DIR", Usage: "directory with config.json (default: the working directory)"}
	flagConfig       = Flag{Name: "config", Aliases: []string{"f"}, Kind: Text, Arg: "FILE", Usage: "read FILE instead of the bundle's config.json"}
	flagNoPivot      = Flag{Name: "no-pivot", Kind: Bool, Usage: "move the root over / instead of pivot_root(2); for a host root on an initramfs"}
	flagNoNewKeyring = Flag{Name: "no-new-keyring", Kind: Bool, Usage: "keep the caller's session keyring"}
	flagPreserveFDs  = Flag{Name: "preserve-fds", Kind: Number, Arg: "N", Default: "0", Usage: "leave the N descriptors from 3 on open in the container"}
	flagConsole      = Flag{Name: "console-socket", Kind: Text, Arg: "SOCKET", Usage: "send the terminal's descriptor to SOCKET"}
	flagPidfdSocket  = Flag{Name: "pidfd-socket", Kind: Text, Arg: "SOCKET", Usage: "send a pidfd of the process to SOCKET"}
	flagPidFile      = Flag{Name: "pid-file", Kind: Text, Arg: "FILE", Usage: "write the process id to FILE when the container is there"}
	flagFormat       = Flag{Name: "format", Aliases: []string{"f"}, Kind: Text, Arg: "FORMAT", Default: "table", Usage: "table or json"}
	flagText         = Flag{Name: "format", Kind: Text, Arg: "FORMAT", Default: "text", Usage: "text or json"}
	flagStatsFormat  = Flag{Name: "format", Kind: Text, Arg: "FORMAT", Default: "auto", Usage: "table or json; auto is a table on a terminal"}
	flagRegex        = Flag{Name: "regex", Aliases: []string{"r"}, Kind: Bool, Usage: "ID is a regular expression; every container that it matches is meant"}
)

// Commands is sorted by name, which is the order of the help.
var Commands = []Command{
	{
		Name: "check", Usage: "find what is wrong with a bundle, without running it",
		Description: "Prints everything that create would refuse or warn about, and fields that the specification does not define, one line each. " +
			"Nothing is changed, and no privilege is needed. The exit code is 0 if create would take the bundle, 1 if the config has errors, " +
			"2 if only this host is in the way, and 3 if there is no config to read.",
		Flags: []*Flag{&flagBundle, &flagConfig, &flagText},
		whole: true, run: runCheck,
	},
	{
		Name: "checkpoint", Args: "ID", Usage: "write a running container to files",
		Description: "Has CRIU write the processes of a container to the image directory, from which restore makes them again, and deletes the container " +
			"unless it is to go on. If it fails, the container goes on. What a flag means in detail stands in criu(8).",
		Flags: checkpointFlags[:], Existing: true, min: 1, max: 1, whole: true, run: runCheckpoint,
	},
	{
		Name: "create", Args: "ID", Usage: "create a container",
		Description: "Makes the container of a bundle: everything but its program, which waits for start. " + sectionID + ".",
		Flags:       []*Flag{&flagBundle, &flagConfig, &flagConsole, &flagPidfdSocket, &flagPidFile, &flagNoPivot, &flagNoNewKeyring, &flagPreserveFDs},
		min:         1, max: 1, run: runCreate,
	},
	{
		Name: "delete", Args: "ID", Usage: "delete a container",
		Description: "Removes what is left of a stopped container. One that is created and was not started is killed first.",
		Flags: []*Flag{
			{Name: "force", Aliases: []string{"f"}, Kind: Bool, Usage: "kill a running container first; one that does not exist is no error"},
			&flagRegex,
		},
		Existing: true, min: 1, max: 1, run: runDelete,
	},
	{
		Name: "events", Args: "ID", Usage: "show what a container uses, and when its memory runs out",
		Description: "Prints one JSON object on a line for each event: the counters of the container's cgroups, anew after each interval, and each time " +
			"that its memory ran out. Ends when the container stops.",
		Flags: []*Flag{
			{Name: "interval", Kind: Text, Arg: "TIME", Default: "5s", Usage: "time between two looks at the counters: 5s, 500ms"},
			{Name: "stats", Kind: Bool, Usage: "print the counters once, and end"},
		},
		Existing: true, min: 1, max: 1, run: runEvents,
	},
	{
		Name: "exec", Args: "ID [COMMAND [ARG...]]", Usage: "run a command in a container",
		Description: "Runs a command in a container that is created or running, as its own process runs where no flag says otherwise. With --process " +
			"the command and everything else is taken from a file, and what flags say besides counts. The exit code is the command's, " +
			"128 and the number of the signal that killed it, or 255 if it could not be run.",
		Flags:    execFlags[:],
		Existing: true, min: 1, max: -1, stop: true, run: runExec,
	},
	{
		Name: "features", Usage: "show what this version can do",
		Description: "Prints the features structure of the OCI runtime specification (features.md) as JSON. It does not depend on the host.",
		whole:       true, run: runFeatures,
	},
	{
		Name: "kill", Args: "ID [SIGNAL]", Usage: "send a signal to a container",
		Description: "Signals the container's first process. SIGNAL is a name in any case, with or without SIG, or a number; the default is TERM.",
		Flags: []*Flag{
			{Name: "all", Aliases: []string{"a"}, Kind: Bool, Usage: "signal every process of the container; that there is none is no error"},
			&flagRegex,
		},
		Existing: true, min: 1, max: 2, stop: true, run: runKill,
	},
	{
		Name: "list", Usage: "list containers",
		Description: "Lists the containers of the state directory with their status.",
		Flags: []*Flag{
			&flagFormat,
			{Name: "quiet", Aliases: []string{"q"}, Kind: Bool, Usage: "print only the ids"},
		},
		run: runList,
	},
	{
		Name: "pause", Args: "ID", Usage: "stop the processes of a container where they are",
		Description: "Freezes every process of a created or running container until resume. If one of them cannot be stopped within a few seconds, " +
			"all go on, and the command fails.",
		Existing: true, min: 1, max: 1, run: runPause,
	},
	{
		Name: "plan", Args: "[ID]", Usage: "show what create would do, without doing it",
		Description: "Compiles a bundle's config for this host and prints the list of operations, in their order, each with the field of the " +
			"config that asks for it. Nothing is changed, and no privilege is needed. With --process it is the plan by which exec would run " +
			"that process in the container ID, which must exist.",
		Flags: []*Flag{
			&flagBundle, &flagConfig,
			&flagText,
			&flagNoPivot, &flagNoNewKeyring, &flagPreserveFDs,
			{Name: "process", Aliases: []string{"p"}, Kind: Text, Arg: "FILE", Usage: "show what exec would do with the process of FILE"},
		},
		max: 1, whole: true, run: runPlan,
	},
	{
		Name: "ps", Args: "ID [ps options]", Usage: "list a container's processes",
		Description: "Runs the host's ps with the given options (default: -ef) and prints the lines of the container's processes.",
		Flags:       []*Flag{&flagFormat},
		Existing:    true, min: 1, max: -1, stop: true, run: runPs,
	},
	{
		Name: "restore", Args: "ID", Usage: "make a container out of the files of a checkpoint",
		Description: "Makes a container of a bundle whose processes go on where they were when checkpoint wrote them to the image directory. In the foreground, " +
			"signals are forwarded, and the exit code of its program becomes the one of this command. " + sectionID + ".",
		Flags: restoreFlags[:], min: 1, max: 1, whole: true, run: runRestore,
	},
	{
		Name: "resume", Args: "ID", Usage: "let the processes of a paused container go on",
		Description: "Reverses pause.",
		Existing:    true, min: 1, max: 1, run: runResume,
	},
	{
		Name: "run", Args: "ID", Usage: "create a container and start it at once",
		Description: "Makes the container of a bundle and runs its program. In the foreground, signals are forwarded to it, and its exit code " +
			"(128 and the number of the signal that killed it) becomes the one of this command. " + sectionID + ".",
		Flags: []*Flag{
			&flagBundle, &flagConfig, &flagConsole,
			{Name: "detach", Aliases: []string{"d"}, Kind: Bool, Usage: "return when the program runs, and leave it running"},
			{Name: "keep", Kind: Bool, Usage: "do not delete the container when its program has ended"},
			{Name: "no-subreaper", Kind: Bool, Usage: "do not become the parent of the container's orphans"},
			&flagPidfdSocket, &flagPidFile, &flagNoPivot, &flagNoNewKeyring, &flagPreserveFDs,
		},
		min: 1, max: 1, run: runRun,
	},
	{
		Name: "spec", Usage: "write a config.json to begin with",
		Description: "Writes a config that runs sh in the root file system that lies in the directory rootfs of the bundle.",
		Flags: []*Flag{
			{Name: "bundle", Aliases: []string{"b"}, Kind: Text, Arg: "DIR", Usage: "directory to write to (default: the working directory)"},
			{Name: "config", Aliases: []string{"f"}, Kind: Text, Arg: "FILE", Default: "config.json", Usage: "name of the file"},
			{Name: "network", Kind: Text, Arg: "NAME", Usage: "attach the container to this network by the hook tare-net"},
			{Name: "rootless", Kind: Bool, Usage: "for an ordinary user, with a user namespace that maps only this user"},
		},
		whole: true, run: runSpec,
	},
	{
		Name: "start", Args: "ID", Usage: "start the program of a created container",
		Description: "Lets the program of a created container run. Returns when it does.",
		Existing:    true, min: 1, max: 1, run: runStart,
	},
	{
		Name: "state", Args: "ID", Usage: "show a container's state",
		Description: "Prints the state of a container as JSON (runtime.md, State).",
		Existing:    true, min: 1, max: 1, run: runState,
	},
	{
		Name: "stats", Args: "[ID]...", Usage: "show what containers use",
		Description: "Shows, for the given containers or all that are not stopped, the use of CPU, memory, network, block devices and processes, and how much " +
			"waits for them: on a terminal as a table that is drawn again after each interval, and otherwise as one JSON object on a line for each container " +
			"and interval. Ends when none of the containers runs any more.",
		Flags: []*Flag{
			{Name: "interval", Kind: Text, Arg: "TIME", Default: "1s", Usage: "time between two looks: 5s, 500ms"},
			{Name: "no-stream", Kind: Bool, Usage: "show them once, and end"},
			&flagStatsFormat,
		},
		Existing: true, max: -1, run: runStats,
	},
	{
		Name: "update", Args: "ID", Usage: "change the limits of a container",
		Description: "Changes the limits that are given; the others, and all device rules, stay as they are. Either all of them change or, when one " +
			"is refused, none.",
		Flags: updateFlags, Existing: true, min: 1, max: 1, run: runUpdate,
	},
}

func findCommand(name string) *Command {
	for i := range Commands {
		if Commands[i].Name == name {
			return &Commands[i]
		}
	}
	return nil
}
