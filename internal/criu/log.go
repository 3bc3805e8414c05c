package criu

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Explain adds to an error what CRIU's log says about it: the last of its lines
// that are errors.
func Explain(err error, log string) error {
	var e *Error
	if !errors.As(err, &e) && !errors.Is(err, errGone) {
		return err
	}
	f, openErr := os.Open(log)
	if openErr != nil {
		return err // it did not come that far
	}
	defer f.Close()
	lines := errorLines(f)
	if e != nil {
		e.Log, e.Lines = log, lines
		return err
	}
	return fmt.Errorf("%w: %s (all of it in %s)", err, strings.Join(lines, "; "), log)
}

// errorLines returns the last few error lines, without the time and the pid that
// each begins with: `(00.012345)    123: Error (criu/mount.c:1061): mnt: …`.
func errorLines(r io.Reader) []string {
	const most = 4
	var out []string
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		_, text, ok := strings.Cut(in.Text(), "Error (")
		if !ok {
			continue
		}
		if out = append(out, "Error ("+strings.TrimSpace(text)); len(out) > most {
			out = out[1:]
		}
	}
	return out
}
