package state

import (
	"strconv"
	"strings"

	"github.com/tare-oci/tare/internal/sys"
)

// StartTime is the start of a process in clock ticks since boot, and its state
// letter; ok is false when there is no such process.
func StartTime(pid int) (start uint64, status byte, ok bool) {
	text := sys.Text("/proc/" + strconv.Itoa(pid) + "/stat")
	// The name, in parentheses, may hold anything: count from its end.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return 0, 0, false
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	return start, fields[0][0], err == nil
}
