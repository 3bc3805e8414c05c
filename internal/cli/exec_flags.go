package cli

// execFlags are those of exec.
var execFlags = [...]*Flag{
	{Name: "additional-gids", Aliases: []string{"g"}, Kind: List, Arg: "GID", Usage: "add a supplementary group; may be given more than once"},
	{Name: "apparmor", Kind: Text, Arg: "PROFILE", Usage: "AppArmor profile of the process"},
	{Name: "cap", Aliases: []string{"c"}, Kind: List, Arg: "CAPABILITY", Usage: "add a capability to the bounding, permitted and effective sets; may be given more than once"},
	{Name: "cgroup", Kind: List, Arg: "[CONTROLLER[,...]:]PATH", Usage: "run in PATH below the container's cgroup; may be given more than once, with controllers"},
	&flagConsole,
	{Name: "cwd", Kind: Text, Arg: "DIR", Usage: "working directory in the container"},
	{Name: "detach", Aliases: []string{"d"}, Kind: Bool, Usage: "return when the command runs, and leave it running"},
	{Name: "env", Aliases: []string{"e"}, Kind: List, Arg: "NAME=VALUE", Usage: "set an environment variable; may be given more than once"},
	{Name: "ignore-paused", Kind: Bool, Usage: "take a paused container, too: the command begins when that is resumed"},
	{Name: "no-new-privs", Kind: Bool, Usage: "the process and its children gain no privilege by execve(2)"},
	&flagPidFile,
	&flagPidfdSocket,
	&flagPreserveFDs,
	{Name: "process", Aliases: []string{"p"}, Kind: Text, Arg: "FILE", Usage: "take the process from FILE, a process object as in config.json"},
	{Name: "process-label", Kind: Text, Arg: "LABEL", Usage: "SELinux label of the process"},
	{Name: "tty", Aliases: []string{"t"}, Kind: Bool, Usage: "give the process a terminal"},
	{Name: "user", Aliases: []string{"u"}, Kind: Text, Arg: "UID[:GID]", Usage: "user and group of the process, by number"},
}
