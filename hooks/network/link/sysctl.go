package link

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoSysctl says that the kernel has no such parameter: a family that is not
// built, or a link that is gone.
var ErrNoSysctl = errors.New("the kernel has no such parameter")

// sysctlPath turns net.ipv4.conf.eth0.rp_filter into a file of procfs. A link's name may
// have dots: everything between conf and the last word is the name.
func sysctlPath(key string) string {
	parts := strings.Split(key, ".")
	if len(parts) > 5 && (parts[2] == "conf" || parts[2] == "neigh") {
		parts = []string{parts[0], parts[1], parts[2], strings.Join(parts[3:len(parts)-1], "."), parts[len(parts)-1]}
	}
	return "sys/" + strings.Join(parts, "/")
}

// InOrder sorts parameters so that none undoes another one: ip_forward sets the
// forwarding of all links and their accept_redirects, conf.all that of each link
// (ip-sysctl.rst).
func InOrder[V any](values map[string]V) []string {
	rank := func(key string) int {
		switch {
		case key == "net.ipv4.ip_forward":
			return 0
		case strings.Contains(key, ".all."):
			return 1
		case strings.Contains(key, ".default."):
			return 2
		}
		return 3
	}
	return slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
}

// Get reads a parameter of this thread's network namespace.
func Get(key string) (string, error) {
	fd, err := openSysctl(key, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	b := make([]byte, 256)
	n, err := unix.Read(fd, b)
	if err != nil {
		return "", fmt.Errorf("sysctl %s: %w", key, err)
	}
	return strings.TrimSpace(string(b[:n])), nil
}

// Set writes one.
func Set(key, value string) error {
	fd, err := openSysctl(key, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return fmt.Errorf("sysctl %s=%s: %w", key, value, err)
	}
	return nil
}

func openSysctl(key string, flags int) (int, error) {
	fd, err := openProc(sysctlPath(key), flags)
	if err == unix.ENOENT {
		return -1, fmt.Errorf("sysctl %s: %w", key, ErrNoSysctl)
	}
	if err != nil {
		return -1, fmt.Errorf("sysctl %s: %w", key, err)
	}
	return fd, nil
}
