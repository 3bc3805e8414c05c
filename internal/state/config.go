package state

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/sys"
)

// LoadConfig reads a record with the config. It does not keep the lock; with
// settled it waits until nobody else has it, so that a container that is being
// made or deleted is seen as what it becomes. The bytes that it returns are both:
// as long as they are the same, so is the record.
func (s *Store) LoadConfig(id string, settled bool) (*Record, []byte, error) {
	if err := CheckID(id); err != nil {
		return nil, nil, err
	}
	data, err := s.readWhole(id, settled)
	if errors.Is(err, ErrBusy) {
		return nil, nil, fmt.Errorf("container %q: %w", id, err)
	}
	if err == nil {
		line, config, _ := bytes.Cut(data, newline)
		if st, err := Decode(line); err == nil && st.Pid != 0 {
			st.ID = id
			return &Record{State: *st, store: s, fd: -1, Config: config}, data, nil
		}
	}
	// One that is not there, is broken, or is being written: in other words.
	r, err := s.Load(id, false)
	return r, nil, err
}

func (s *Store) readWhole(id string, settled bool) ([]byte, error) {
	path := s.path(id, ".json")
	for {
		fd, err := open(path, unix.O_RDWR)
		if err != nil {
			return nil, err
		}
		if err := ownRecord(fd, path); err != nil {
			syscall.Close(fd)
			return nil, err
		}
		if settled {
			err = flockWithin(fd, lockWait)
			if err == nil && !same(fd, path) { // replaced by the one we waited for
				syscall.Close(fd)
				continue
			}
		}
		var data []byte
		if err == nil {
			data, err = sys.ReadAll(fd, maxRecord)
		}
		syscall.Close(fd)
		return data, err
	}
}

// ReadConfig reads the config that lies behind the record.
func (r *Record) ReadConfig() ([]byte, error) {
	data, err := sys.ReadFile(r.store.path(r.ID, ".json"), maxRecord)
	_, config, _ := bytes.Cut(data, newline)
	return config, err
}

// newline separates the record from the config.
var newline = []byte{'\n'}
