package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// ErrNoSysctl says that the kernel has no such parameter: a family that is not
// built, or a link that is gone.
var ErrNoSysctl = errors.New("the kernel has no such parameter")

// sysctlPath turns net.ipv4.conf.eth0.rp_filter into a file. A link's name may
// have dots: everything between conf and the last word is the name.
func sysctlPath(key string) string {
	parts := strings.Split(key, ".")
	if len(parts) > 5 && (parts[2] == "conf" || parts[2] == "neigh") {
		parts = []string{parts[0], parts[1], parts[2], strings.Join(parts[3:len(parts)-1], "."), parts[len(parts)-1]}
	}
	return "/proc/sys/" + strings.Join(parts, "/")
}

// Get reads a parameter of this thread's network namespace.
func Get(key string) (string, error) {
	b, err := os.ReadFile(sysctlPath(key))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("sysctl %s: %w", key, ErrNoSysctl)
	}
	return strings.TrimSpace(string(b)), err
}

// Set writes one.
func Set(key, value string) error {
	f, err := os.OpenFile(sysctlPath(key), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sysctl %s: %w", key, ErrNoSysctl)
	}
	if err == nil {
		_, err = f.WriteString(value)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("sysctl %s=%s: %w", key, value, err)
	}
	return nil
}
