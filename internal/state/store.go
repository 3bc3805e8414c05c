package state

import (
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/sys"
)

// Errors that callers tell apart. Their wording is part of the contract with
// the engines.
var (
	ErrExist    = errors.New("container with given ID already exists")
	ErrNotExist = errors.New("container does not exist")
	ErrEmptyID  = errors.New("container id cannot be empty")
	ErrID       = errors.New("invalid container ID format")
	ErrBusy     = errors.New("another command holds the container, and has for 10 s")
)

// CheckID accepts letters, digits and _ + . - ; nothing that could be a path.
func CheckID(id string) error {
	if id == "" {
		return ErrEmptyID
	}
	if id == "." || id == ".." || len(id) > 240 {
		return fmt.Errorf("%w: %q", ErrID, id)
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '+' || c == '.' || c == '-') {
			return fmt.Errorf("%w: %q has %q at byte %d; use letters, digits, _ + . and -", ErrID, id, c, i)
		}
	}
	return nil
}

// Store is the state root.
type Store struct{ root string }

// Open returns the store at root. With create the directory is made, 0700, if
// it is missing; its parent must exist.
func Open(root string, create bool) (*Store, error) {
	if create {
		if err := mkdirAll(root); err != nil {
			return nil, &fs.PathError{Op: "mkdir", Path: root, Err: err}
		}
	}
	return &Store{root: root}, nil
}

func mkdirAll(path string) error {
	err := syscall.Mkdir(path, 0o700)
	if err == syscall.ENOENT {
		if i := strings.LastIndexByte(path, '/'); i > 0 {
			if err := mkdirAll(path[:i]); err != nil {
				return err
			}
			err = syscall.Mkdir(path, 0o700)
		}
	}
	if err == syscall.EEXIST {
		return nil
	}
	return err
}

func (s *Store) path(id, ext string) string { return s.root + "/" + id + ext }

// maxRecord bounds a record; annotations can make it long.
const maxRecord = 32 << 20

// Record is one container's record, and the lock on it while it is held.
type Record struct {
	State
	store *Store
	fd    int // the locked file; -1 when read without the lock
	// Config is the container's config.json as it was when it was created. Save
	// writes it behind the record; Load leaves it there, LoadConfig reads it.
	Config []byte
	// Busy says that pid is 0 and that the creator is at work.
	Busy bool
}

// Create reserves an id: the record exists, locked, from here on.
func (s *Store) Create(id string) (*Record, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	r := &Record{store: s, fd: -1}
	r.ID = id
	path := s.path(id, ".json")
	for r.fd < 0 {
		fd, err := open(path, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR)
		if err == syscall.EEXIST {
			return nil, fmt.Errorf("%w: %q", ErrExist, id)
		}
		if err != nil {
			return nil, &fs.PathError{Op: "create", Path: path, Err: err}
		}
		r.fd = fd
		if err := flock(fd, unix.LOCK_EX); err != nil {
			r.Unlock()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !same(fd, path) { // a delete --force came before the lock
			r.Unlock()
		}
	}
	if err := s.dropDead(id); err != nil {
		_ = r.Remove()
		r.Unlock()
		return nil, err
	}
	return r, nil
}

// dropDead forgets a deleted container of the same name whose hooks failed: what
// they should have undone now belongs to the new one. While they still run, it
// waits.
func (s *Store) dropDead(id string) error {
	path := s.path(id, ".dead")
	fd, err := open(path, unix.O_RDWR)
	if err == syscall.ENOENT {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	if err := flockWithin(fd, lockWait); err != nil {
		return fmt.Errorf("the poststop hooks of a container %q that was deleted still run: %w", id, err)
	}
	if err := syscall.Unlink(path); err != nil && err != syscall.ENOENT {
		return &fs.PathError{Op: "unlink", Path: path, Err: err}
	}
	return nil
}

// Load reads a record. With lock it also waits until nobody else changes it.
func (s *Store) Load(id string, lock bool) (*Record, error) { return s.load(id, ".json", lock) }

// LoadTorn reads what is left of a record that Load cannot read, locked.
func (s *Store) LoadTorn(id string) (*Record, error) {
	r, err := s.load(id, ".json", true)
	var torn *TornError
	if !errors.As(err, &torn) {
		return r, err
	}
	fd, err := open(s.path(id, ".json"), unix.O_RDWR)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: s.path(id, ".json"), Err: err}
	}
	if err := flockWithin(fd, lockWait); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("container %q: %w", id, err)
	}
	r = &Record{State: *torn.Left, store: s, fd: fd}
	r.ID = id
	return r, nil
}

// LoadDead reads the record of a deleted container whose poststop hooks have to
// run again, locked.
func (s *Store) LoadDead(id string) (*Record, error) { return s.load(id, ".dead", true) }

func (s *Store) load(id, ext string, lock bool) (*Record, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	path := s.path(id, ext)
	for {
		fd, err := open(path, unix.O_RDWR)
		if err == syscall.ENOENT || err == syscall.ENOTDIR {
			return nil, fmt.Errorf("%w: %q", ErrNotExist, id)
		}
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		r := &Record{store: s, fd: fd}
		if err := ownRecord(fd, path); err != nil {
			r.Unlock()
			return nil, err
		}
		if lock {
			if err := flockWithin(fd, lockWait); err != nil {
				r.Unlock()
				return nil, fmt.Errorf("container %q: %w", id, err)
			}
			// The one we waited for may have replaced or removed the file.
			if !same(fd, path) {
				r.Unlock()
				continue
			}
		}
		data, err := sys.ReadLine(fd, maxRecord)
		if err != nil {
			r.Unlock()
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if len(data) > 0 {
			st, err := Decode(data)
			if err != nil {
				r.Unlock()
				var schema *SchemaError
				if !errors.As(err, &schema) {
					err = &TornError{Left: Salvage(data), Err: err}
				}
				return nil, fmt.Errorf("state of container %q: %w", id, err)
			}
			r.State = *st
		}
		r.ID = id
		if !lock {
			// An unfinished record is being written, or its writer has died.
			if r.Pid == 0 && flock(fd, unix.LOCK_SH|unix.LOCK_NB) != nil {
				r.Busy = true
			}
			r.Unlock()
		}
		return r, nil
	}
}

// ownRecord refuses what somebody else has put there: a record has hooks to run, and
// processes and directories to be removed, and root may have been pointed at the state
// root of a user (--root).
func ownRecord(fd int, path string) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "fstat", Path: path, Err: err}
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return fmt.Errorf("%s is not a regular file", path)
	}
	if uid := syscall.Geteuid(); int(st.Uid) != uid {
		return fmt.Errorf("%s belongs to user %d, and this is user %d: only who has created a container may manage it", path, st.Uid, uid)
	}
	return nil
}

func same(fd int, path string) bool {
	var a, b syscall.Stat_t
	return syscall.Fstat(fd, &a) == nil && syscall.Stat(path, &b) == nil && a.Ino == b.Ino && a.Dev == b.Dev
}

// Begin writes the record into the file just created. Readers see either
// nothing, which means creating, or all of it.
func (r *Record) Begin() error {
	data := append(r.Encode(), '\n')
	n, err := syscall.Pwrite(r.fd, data, 0)
	if err == nil && n != len(data) {
		err = syscall.EIO
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: r.store.path(r.ID, ".json"), Err: err}
	}
	return nil
}

// Save replaces the record by an atomic rename; the lock moves to the new file.
//
// The two files change places, and the old one is removed under its new name: a
// rename over an existing file makes ext4 write the new one out at once
// (auto_da_alloc, ext4(5)), and then a mount with "discard" makes its removal
// wait for the disk.
func (r *Record) Save() error {
	tmp, path := r.store.path(r.ID, ".new"), r.store.path(r.ID, ".json")
	if r.Config == nil {
		var err error
		if r.Config, err = r.ReadConfig(); err != nil {
			return err
		}
	}
	fd, err := open(tmp, unix.O_CREAT|unix.O_TRUNC|unix.O_RDWR)
	if err != nil {
		return &fs.PathError{Op: "create", Path: tmp, Err: err}
	}
	err = flock(fd, unix.LOCK_EX)
	if err == nil {
		data := append(append(r.Encode(), '\n'), r.Config...)
		var n int
		if n, err = syscall.Write(fd, data); err == nil && n != len(data) {
			err = syscall.EIO
		}
	}
	if err == nil {
		if err = unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE); err == nil {
			_ = syscall.Unlink(tmp)
		} else { // no such thing on this file system, or the record is gone
			err = syscall.Rename(tmp, path)
		}
	}
	if err != nil {
		_ = syscall.Unlink(tmp)
		syscall.Close(fd)
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	syscall.Close(r.fd)
	r.fd = fd
	return nil
}

// Unlock lets others at the record.
func (r *Record) Unlock() {
	if r.fd >= 0 {
		syscall.Close(r.fd)
		r.fd = -1
	}
}

// Remove deletes the record and the gate.
func (r *Record) Remove() error {
	if err := r.removeNotifyDir(); err != nil {
		return err
	}
	for _, ext := range []string{".gate", ".new", ".json"} {
		if err := syscall.Unlink(r.store.path(r.ID, ext)); err != nil && err != syscall.ENOENT {
			return &fs.PathError{Op: "unlink", Path: r.store.path(r.ID, ext), Err: err}
		}
	}
	return nil
}

// Bury removes the container but keeps its record, so that delete can be
// repeated until the poststop hooks have succeeded.
func (r *Record) Bury() error {
	if err := r.removeNotifyDir(); err != nil {
		return err
	}
	_ = syscall.Unlink(r.store.path(r.ID, ".gate"))
	from, to := r.store.path(r.ID, ".json"), r.store.path(r.ID, ".dead")
	if err := syscall.Rename(from, to); err != nil && err != syscall.ENOENT {
		return &fs.PathError{Op: "rename", Path: from, Err: err}
	}
	return nil
}

// Forget removes what Bury has kept.
func (r *Record) Forget() error {
	if err := syscall.Unlink(r.store.path(r.ID, ".dead")); err != nil && err != syscall.ENOENT {
		return &fs.PathError{Op: "unlink", Path: r.store.path(r.ID, ".dead"), Err: err}
	}
	return nil
}

// List returns the ids in the store, sorted. A missing root is an error.
func (s *Store) List() ([]string, error) {
	names, err := readDir(s.root)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: s.root, Err: err}
	}
	var ids []string
	for _, n := range names {
		if id, ok := strings.CutSuffix(n, ".json"); ok && CheckID(id) == nil {
			ids = append(ids, id)
		}
	}
	sort.Strings(ids)
	return ids, nil
}

func readDir(path string) ([]string, error) {
	fd, err := open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	var names []string
	buf := make([]byte, 16384)
	for {
		n, err := syscall.ReadDirent(fd, buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			return names, nil
		}
		_, _, names = syscall.ParseDirent(buf[:n], -1, names)
	}
}

// open refuses links: the state root is the runtime's alone.
func open(path string, flags int) (int, error) {
	return sys.Open(path, flags|unix.O_NOFOLLOW, 0o600)
}
