package link

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Index is a link's number in this thread's namespace, 0 when there is none, and
// whether it is up. It asks by ioctl (netdevice(7)), which does not wait for
// rtnetlink's lock as a request for the link would.
func Index(name string) (index int, up bool, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, false, fmt.Errorf("link %q: socket: %w", name, err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, false, fmt.Errorf("link %q: %w", name, err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err == unix.ENODEV {
		return 0, false, nil
	} else if err != nil {
		return 0, false, fmt.Errorf("link %q: %w", name, err)
	}
	index = int(req.Uint32())
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req); err != nil {
		return 0, false, fmt.Errorf("link %q: %w", name, err)
	}
	return index, req.Uint16()&unix.IFF_UP != 0, nil
}
