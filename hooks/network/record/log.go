package record

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// logMax bounds the log; at that size it is moved to log.1, over the one before.
const logMax = 1 << 20

// Log adds one JSON line to the log: some runtimes throw away what a hook prints.
func (s *Store) Log(event map[string]any) {
	path := filepath.Join(s.Dir, "log")
	event["time"] = time.Now().UTC().Format(time.RFC3339Nano)
	event["pid"] = os.Getpid()
	line, err := json.Marshal(event)
	if err != nil {
		return
	}
	// A full or read-only file system stops no container.
	_ = Put(path, append(line, '\n'), unix.O_APPEND)
	var st unix.Stat_t
	if unix.Stat(path, &st) == nil && st.Size > logMax {
		_ = unix.Rename(path, path+".1")
	}
}
