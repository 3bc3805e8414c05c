package criu

import (
	"errors"
	"testing"
)

func TestVersion(t *testing.T) {
	order := []Version{{3, 16, 0}, {3, 17, 0}, {3, 17, 1}, {3, 18, 0}, {4, 0, 0}, {4, 1, 0}}
	for i, v := range order {
		for j, w := range order {
			if v.Before(w) != (i < j) {
				t.Errorf("%s before %s: %v", v, w, v.Before(w))
			}
		}
	}
	if a, b := order[2].String(), order[3].String(); a != "3.17.1" || b != "3.18" {
		t.Errorf("printed as %s and %s", a, b)
	}
}

// A question to a CRIU that is not there, or ends at once, is an error and not a no.
func TestAskNobody(t *testing.T) {
	if _, err := VersionOf(Program{Path: "/nowhere/criu"}); !errors.Is(err, ErrMissing) {
		t.Errorf("%v", err)
	}
	if _, err := CanBringPagesLater(Program{Path: "false"}); !errors.Is(err, errGone) {
		t.Errorf("%v", err)
	}
}
