package cli

// The flags that checkpoint and restore share. Their names are those of other
// runtimes, which are CRIU's (criu(8)).
var (
	flagImagePath      = Flag{Name: "image-path", Kind: Text, Arg: "DIR", Default: "checkpoint", Usage: "directory of the images"}
	flagWorkPath       = Flag{Name: "work-path", Kind: Text, Arg: "DIR", Usage: "directory of CRIU's log (default: the image directory)"}
	flagTCPEstablished = Flag{Name: "tcp-established", Kind: Bool, Usage: "keep TCP connections that are open"}
	flagExtUnixSk      = Flag{Name: "ext-unix-sk", Kind: Bool, Usage: "let unix sockets be connected to somebody outside"}
	flagShellJob       = Flag{Name: "shell-job", Kind: Bool, Usage: "let the session, and the terminal, be the caller's"}
	flagFileLocks      = Flag{Name: "file-locks", Kind: Bool, Usage: "keep file locks"}
	flagLazyPages      = Flag{Name: "lazy-pages", Kind: Bool, Usage: "leave memory where it is until it is used: served after a checkpoint, fetched after a restore"}
	flagManageCgroups  = Flag{Name: "manage-cgroups-mode", Kind: Text, Arg: "MODE", Default: "soft", Usage: "what CRIU does with cgroups: soft, full, strict or ignore"}
	flagEmptyNS        = Flag{Name: "empty-ns", Kind: List, Arg: "NAMESPACE", Usage: "leave out what is in a namespace; only network"}
	flagNetworkLock    = Flag{Name: "network-lock", Kind: Text, Arg: "METHOD", Usage: "what keeps packets away meanwhile: iptables, nftables or skip (default: CRIU's own)"}
	flagAutoDedup      = Flag{Name: "auto-dedup", Kind: Bool, Usage: "drop from an earlier image what a later one has"}
)

var checkpointFlags = [...]*Flag{
	&flagImagePath, &flagWorkPath,
	{Name: "parent-path", Kind: Text, Arg: "DIR", Usage: "directory of an earlier --pre-dump, relative to the image directory"},
	{Name: "leave-running", Kind: Bool, Usage: "let the container run on"},
	&flagTCPEstablished,
	{Name: "tcp-skip-in-flight", Kind: Bool, Usage: "leave out TCP connections that are being opened"},
	{Name: "link-remap", Kind: Bool, Usage: "give files that have no name any more one for the time being"},
	&flagExtUnixSk, &flagShellJob, &flagLazyPages,
	{Name: "status-fd", Kind: Number, Arg: "FD", Default: "-1", Usage: "where a byte is written when the memory of --lazy-pages is being served"},
	{Name: "page-server", Kind: Text, Arg: "ADDRESS:PORT", Usage: "send memory to a `criu page-server`"},
	&flagFileLocks,
	{Name: "pre-dump", Kind: Bool, Usage: "write only memory, as the parent of a later checkpoint, and let the container run on"},
	&flagManageCgroups, &flagEmptyNS, &flagNetworkLock, &flagAutoDedup,
}

var restoreFlags = [...]*Flag{
	&flagBundle, &flagConfig, &flagConsole, &flagImagePath, &flagWorkPath, &flagTCPEstablished,
	{Name: "tcp-close", Kind: Bool, Usage: "close TCP connections that were open"},
	&flagExtUnixSk, &flagShellJob, &flagFileLocks, &flagManageCgroups,
	{Name: "detach", Aliases: []string{"d"}, Kind: Bool, Usage: "return when the processes run, and leave them running"},
	&flagPidfdSocket, &flagPidFile,
	{Name: "no-subreaper", Kind: Bool, Usage: "do not become the parent of the container's orphans"},
	{Name: "no-pivot", Kind: Bool, Usage: "accepted, and without effect: CRIU makes the root"},
	&flagEmptyNS, &flagNetworkLock, &flagAutoDedup, &flagLazyPages,
	{Name: "lsm-profile", Kind: Text, Arg: "KIND:LABEL", Usage: "give processes this label: apparmor:NAME or selinux:LABEL"},
	{Name: "lsm-mount-context", Kind: Text, Arg: "CONTEXT", Usage: "SELinux context of restored mounts"},
}
