package record

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
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
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return // a full or read-only file system stops no container
	}
	defer f.Close()
	_, _ = f.Write(append(line, '\n'))
	if st, err := f.Stat(); err == nil && st.Size() > logMax {
		_ = os.Rename(path, path+".1")
	}
}
