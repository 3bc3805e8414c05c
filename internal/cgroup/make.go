package cgroup

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dirMode is what mkdir(2) is given; the umask applies.
const dirMode = 0o755

// maxRaces bounds how often something is tried again that others came between:
// an ancestor that vanishes because another container below it has gone, or a
// cgroup that was there before and whose last user removes it.
const maxRaces = 16

// MakeJoin makes the cgroup and its missing ancestors. prepare makes it
// ready for limits: in the v1 hierarchy of the cpuset controller, where a new
// cgroup has no CPUs and cannot be joined, every level is filled from the one
// above, and on v2 the controllers are enabled on the way down, as far as the
// kernel allows. It does nothing elsewhere.
//
// A cgroup that exists already must be empty and not frozen (spec, config-linux,
// "Control groups"). created has the paths that were made, outermost first, for
// Remove; after an error everything made has been removed again.
//
// fd is what a process joins the cgroup by. In v1 that is file, "tasks": a
// single-threaded process that writes 0 to it moves itself without the lock and the
// RCU grace period of cgroup.procs. With an empty file it is the directory, for the
// clone3 flag CLONE_INTO_CGROUP of v2.
func MakeJoin(mount, rel, file string, prepare bool) (fd int, created []string, err error) {
	t, err := openTree(mount)
	if err != nil {
		return -1, nil, err
	}
	defer t.close()
	for race := 0; ; race++ {
		parent, created, err := t.make(rel, prepare)
		if err != nil {
			return -1, nil, err
		}
		_, leaf, _ := clean(rel)
		fd, err = t.openJoin(parent, leaf, file, rel)
		t.closeParent(parent)
		if err == nil {
			return fd, created, nil
		}
		t.unmake(created)
		if race >= maxRaces || !isGone(err) {
			return -1, nil, err
		}
	}
}

func (t tree) openJoin(parent int, leaf, file, rel string) (int, error) {
	path, flags := leaf, uint64(unix.O_PATH|unix.O_DIRECTORY)
	if file != "" {
		path, flags = leaf+"/"+file, unix.O_WRONLY
	}
	fd, err := openAt(parent, path, flags)
	if err != nil {
		return -1, &Error{Op: "open", Path: strings.TrimSuffix(Dir{t.mount, rel}.Path()+"/"+file, "/"), Err: err}
	}
	return fd, nil
}

// make returns the directory above the cgroup, for t.closeParent.
func (t tree) make(rel string, prepare bool) (parent int, created []string, err error) {
	above, leaf, err := clean(rel)
	if err != nil {
		return -1, nil, err
	}
	for race := 0; ; race++ {
		parent, created, err = t.makeOnce(above, leaf, prepare)
		if err == nil {
			return parent, created, nil
		}
		t.unmake(created)
		// Another container's removal took an ancestor away, or the cgroup itself.
		if race >= maxRaces || !isGone(err) {
			return -1, nil, err
		}
	}
}

func (t tree) makeOnce(above, leaf string, prepare bool) (parent int, created []string, err error) {
	parent, created, err = t.makeAbove(above, prepare)
	if err != nil {
		return -1, created, err
	}
	made, err := t.makeLevel(parent, leaf, join(above, leaf), prepare)
	if made {
		created = append(created, join("/"+above, leaf))
	}
	if err == nil && !made {
		err = checkReusable(parent, leaf, t, join(above, leaf))
	}
	if err != nil {
		t.closeParent(parent)
		return -1, created, err
	}
	return parent, created, nil
}

// makeAbove makes the ancestors and returns the innermost.
func (t tree) makeAbove(above string, prepare bool) (fd int, created []string, err error) {
	if t.v2 && prepare {
		enableControllers(t.fd)
	}
	if above == "" {
		return t.fd, nil, nil
	}
	if !prepare { // nothing to do on the way down
		fd, err := openAt(t.fd, above, unix.O_PATH|unix.O_DIRECTORY)
		if err == nil {
			return fd, nil, nil
		}
	}
	fd = t.fd
	for i := 0; i < len(above); {
		end := len(above)
		if n := strings.IndexByte(above[i:], '/'); n >= 0 {
			end = i + n
		}
		made, err := t.makeLevel(fd, above[i:end], above[:end], prepare)
		if made {
			created = append(created, "/"+above[:end])
		}
		var next int
		if err == nil {
			if next, err = openAt(fd, above[i:end], unix.O_PATH|unix.O_DIRECTORY); err != nil {
				err = &Error{Op: "open", Path: join(t.mount, above[:end]), Err: err}
			}
		}
		t.closeParent(fd)
		if err != nil {
			return -1, created, err
		}
		fd = next
		if t.v2 && prepare {
			enableControllers(fd)
		}
		i = end + 1
	}
	return fd, created, nil
}

// makeLevel makes one directory; made is false when it was there already.
func (t tree) makeLevel(parent int, name, path string, prepare bool) (made bool, err error) {
	_, err = retry(func() (int, error) { return 0, unix.Mkdirat(parent, name, dirMode) })
	if err != nil && err != unix.EEXIST {
		return false, &Error{Op: "mkdir", Path: join(t.mount, path), Err: err}
	}
	made = err == nil
	if prepare && !t.v2 {
		if err := fillCpuset(parent, name, made); err != nil {
			return made, &Error{Op: "fill cpuset of", Path: join(t.mount, path), Err: err}
		}
	}
	return made, nil
}

// unmake removes what make made, innermost first.
func (t tree) unmake(created []string) {
	for i := len(created) - 1; i >= 0; i-- {
		if parent, leaf, err := t.parentOf(created[i]); err == nil {
			_ = unix.Unlinkat(parent, leaf, unix.AT_REMOVEDIR) // what is in use by now stays
			t.closeParent(parent)
		}
	}
}

// checkReusable refuses a cgroup that was there before, if processes are in it
// or in one below it, or if a process that joined it would not run.
func checkReusable(parent int, leaf string, t tree, path string) error {
	fd, err := openAt(parent, leaf, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return &Error{Op: "open", Path: join(t.mount, path), Err: err}
	}
	defer unix.Close(fd)
	frozen, err := isFrozen(fd, t.v2)
	if err != nil {
		return &Error{Op: "read state of", Path: join(t.mount, path), Err: err}
	}
	if frozen {
		return &UnfitError{Path: join(t.mount, path), Frozen: true}
	}
	pids, err := pidsBelow(fd, nil)
	if err != nil {
		return &Error{Op: "read processes of", Path: join(t.mount, path), Err: err}
	}
	if len(pids) > 0 {
		return &UnfitError{Path: join(t.mount, path), Processes: len(pids)}
	}
	return nil
}

// UnfitError is an existing cgroup that no container can be created in.
type UnfitError struct {
	Path      string
	Processes int
	Frozen    bool
}

// Error has the words that engines look for.
func (e *UnfitError) Error() string {
	if e.Frozen {
		return e.Path + ": container's cgroup unexpectedly frozen"
	}
	return e.Path + ": container's cgroup is not empty: " + strconv.Itoa(e.Processes) + " process(es) found"
}

// Is makes errors.Is(err, os.ErrExist) true.
func (e *UnfitError) Is(target error) bool { return target == os.ErrExist }

func join(a, b string) string {
	if a == "" || a == "/" {
		return a + b
	}
	return a + "/" + b
}
