package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const defaultRoot = "/run/tare"

// tmpRoot and a user's number is where the states lie of one who has nothing better.
const tmpRoot = "/tmp/tare-"

var errRootDir = errors.New("Option --root argument should not be set to /") //nolint:staticcheck // the words of other runtimes

// stateRoot is the directory of the containers' states, an absolute path.
func stateRoot(g *values) (string, error) {
	if !g.isSet("root") {
		if dir := ownRunDir(); dir != "" {
			return dir + "/tare", nil
		}
		if uid := os.Geteuid(); uid != 0 {
			return fallbackRoot(uid, "/run/user/", tmpRoot)
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

// fallbackRoot is where the containers of a user are for whom nobody has set
// XDG_RUNTIME_DIR: in the directory that it would name, and else in one of their
// own below /tmp. There anybody may have been first: then it is not used.
func fallbackRoot(uid int, runDirs, tmp string) (string, error) {
	id := strconv.Itoa(uid)
	var st syscall.Stat_t
	if syscall.Lstat(runDirs+id, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFDIR && int(st.Uid) == uid {
		return runDirs + id + "/tare", nil
	}
	if err := ownDirectory(tmp+id, uid); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return tmp + id, nil
}

// ownDirectory proves that a path in a directory that everybody may write to is a
// directory of the user alone. Nobody else can exchange it afterwards: that is what
// the sticky bit of /tmp is for.
func ownDirectory(path string, uid int) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR || int(st.Uid) != uid || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s is not a directory that only user %d may write; remove it, or give --root, or set XDG_RUNTIME_DIR", path, uid)
	}
	return nil
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
	if strings.HasPrefix(root, tmpRoot) {
		if err := ownDirectory(root, os.Geteuid()); err != nil {
			return err
		}
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
