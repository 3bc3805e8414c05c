package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

//go:embed expected.json
var expectedJSON []byte

// expectation allows a program one problem that no fault of the runtime
// causes. It has to come true: one that does not is stale, and fails the run.
type expectation struct {
	Program string `json:"program"`
	Line    string `json:"line,omitempty"`  // the whole problem after normalising, or
	Match   string `json:"match,omitempty"` // a regular expression for all of it
	Times   int    `json:"times,omitempty"` // how often it occurs; 0 means once
	When    string `json:"when,omitempty"`  // the hosts it applies to; see hostFacts
	Racy    bool   `json:"racy,omitempty"`  // the program races, so that it may also pass
	Reason  string `json:"reason"`          // what is wrong with the program or the host
	Proof   string `json:"proof"`           // where that can be read or seen

	pattern *regexp.Regexp
}

// loadExpectations reads the list and leaves out what does not apply to host.
func loadExpectations(data []byte, host hostFacts) ([]expectation, error) {
	var all, list []expectation
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&all); err != nil {
		return nil, fmt.Errorf("expected.json: %w", err)
	}
	for i, e := range all {
		at := fmt.Sprintf("expected.json[%d] %q", i, e.Program)
		if e.Program == "" || e.Reason == "" || e.Proof == "" || (e.Line == "") == (e.Match == "") {
			return nil, fmt.Errorf("%s: needs program, reason, proof and either line or match", at)
		}
		expr := e.Match
		if e.Line != "" {
			expr = regexp.QuoteMeta(e.Line)
		}
		var err error
		if e.pattern, err = regexp.Compile("^(?:" + expr + ")$"); err != nil {
			return nil, fmt.Errorf("%s: match: %w", at, err)
		}
		if e.Times == 0 {
			e.Times = 1
		}
		applies, err := host.satisfies(e.When)
		if err != nil {
			return nil, fmt.Errorf("%s: when: %w", at, err)
		}
		if applies {
			list = append(list, e)
		}
	}
	return list, nil
}

// verdict divides the problems of one program.
type verdict struct {
	unexpected []string // problems that nothing on the list allows
	expected   int      // problems that the list allows
	stale      []string // expectations that did not come true
}

// judge compares the problems of a program with the list.
func judge(program string, problems []string, list []expectation) verdict {
	var v verdict
	seen := make([]int, len(list))
next:
	for _, p := range problems {
		for i, e := range list {
			if e.Program == program && seen[i] < e.Times && e.pattern.MatchString(p) {
				seen[i]++
				v.expected++
				continue next
			}
		}
		v.unexpected = append(v.unexpected, p)
	}
	for i, e := range list {
		if e.Program == program && seen[i] < e.Times && !e.Racy {
			v.stale = append(v.stale, fmt.Sprintf("stale: seen %d of %d times: %s%s", seen[i], e.Times, e.Line, e.Match))
		}
	}
	return v
}

// hostFacts is what the conditions of the list ask about.
type hostFacts struct {
	kernel      [2]int // major and minor release number
	sysResource bool   // CAP_SYS_RESOURCE is in the bounding set
}

func probeHost() (hostFacts, error) {
	var h hostFacts
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return h, fmt.Errorf("uname: %w", err)
	}
	release := unix.ByteSliceToString(uts.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &h.kernel[0], &h.kernel[1]); err != nil {
		return h, fmt.Errorf("kernel release %q: %w", release, err)
	}
	ret, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_RESOURCE, 0, 0, 0)
	if err != nil {
		return h, fmt.Errorf("read the capability bounding set: %w", err)
	}
	h.sysResource = ret == 1
	return h, nil
}

// satisfies evaluates the "when" of an expectation; empty means every host.
func (h hostFacts) satisfies(when string) (bool, error) {
	switch when {
	case "":
		return true, nil
	case "no CAP_SYS_RESOURCE":
		return !h.sysResource, nil
	}
	if release, ok := strings.CutPrefix(when, "kernel >= "); ok {
		a, b, _ := strings.Cut(release, ".")
		major, err := strconv.Atoi(a)
		minor, err2 := strconv.Atoi(b)
		if err == nil && err2 == nil {
			return h.kernel[0] > major || h.kernel[0] == major && h.kernel[1] >= minor, nil
		}
	}
	return false, fmt.Errorf("unknown condition %q", when)
}
