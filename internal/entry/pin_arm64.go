package entry

const (
	sysOpenat           = 56
	sysClose            = 57
	sysGetdents64       = 61
	sysSchedSetaffinity = 122
	sysSchedGetaffinity = 123
)
