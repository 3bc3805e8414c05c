package probe

import (
	"os"
	"strings"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/sys"
)

// UserManager says that the caller's containers belong to the systemd of a user:
// he is not root, or root only in a user namespace, in which he has not said that
// he is root outside too.
func UserManager(f *facts.Facts) bool {
	return f.EUID != 0 || f.UserNS && os.Getenv("XDG_RUNTIME_DIR") != "" && os.Getenv("USER") != "root"
}

// Delegated cuts the controllers of cgroup v2 to those that the manager has been
// given for its units.
func Delegated(f *facts.Facts) {
	if f.Systemd == nil || f.Systemd.Root == "" {
		return
	}
	for i := range f.Cgroup.Hierarchies {
		h := &f.Cgroup.Hierarchies[i]
		if text := sys.Text(h.Mount + f.Systemd.Root + "/cgroup.controllers"); h.V2 && text != "" {
			h.Controllers = strings.Fields(text)
		}
	}
}
