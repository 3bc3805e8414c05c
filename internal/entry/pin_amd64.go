package entry

const (
	sysClose            = 3
	sysSchedSetaffinity = 203
	sysGetdents64       = 217
	sysOpenat           = 257
)
