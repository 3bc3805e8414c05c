package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

const defaultRoot = "/run/tare"

var errRootDir = errors.New("Option --root argument should not be set to /") //nolint:staticcheck // the words of other runtimes

// stateRoot is the directory of the containers' states, an absolute path.
func stateRoot(g *values) (string, error) {
	if !g.isSet("root") {
		if dir := ownRunDir(); dir != "" {
			return dir + "/tare", nil
		}
		return defaultRoot, nil
	}
	root := g.str("root")
	if root == "" {
		return "", errors.New("--root must not be empty")
	}
	root, err := absolute(root)
	if err != nil {
		return "", err
	}
	if root == "/" {
		return "", errRootDir
	}
	return root, nil
}

// ownRunDir is $XDG_RUNTIME_DIR where /run belongs to somebody else: for an
// ordinary user, and for the root of a user namespace who does not say that he
// is root outside of it, too.
func ownRunDir() string {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" || os.Geteuid() != 0 {
		return dir
	}
	if os.Getenv("USER") == "root" || !inUserNamespace() {
		return ""
	}
	return dir
}

// inUserNamespace reads the id map: only the first user namespace maps every
// id onto itself (user_namespaces(7)).
func inUserNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(b)), " ") != "0 0 4294967295"
}

// makeRoot makes a state directory in $XDG_RUNTIME_DIR with the sticky bit,
// which keeps its contents from being cleaned up after some hours (XDG Base
// Directory Specification). Any other is made by libcontainer.
func makeRoot(g *values, root string) error {
	if g.isSet("root") || root == defaultRoot {
		return nil
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}
	return os.Chmod(root, 0o700|os.ModeSticky)
}

// absolute makes a path absolute against the working directory, without
// following links.
func absolute(path string) (string, error) {
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	return filepath.Join(wd, path), nil
}
