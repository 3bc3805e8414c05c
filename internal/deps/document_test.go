package deps

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// section is what stands below a heading of docs/architecture.md.
func section(t *testing.T, heading string) string {
	t.Helper()
	data, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(data), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/architecture.md has no section %q", heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// TestDocumentedRooms: docs/architecture.md has a row for each room of the product,
// but for the network hook's, which have a document of their own, and no other rows.
func TestDocumentedRooms(t *testing.T) {
	var listed []string
	for line := range strings.Lines(section(t, "Rooms")) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			listed = append(listed, m[1])
		}
	}
	var want []string
	for dir := range rooms {
		switch {
		case strings.HasPrefix(dir, "hooks/network"), strings.HasPrefix(dir, "tests/"), dir == "internal/deps":
		case dir == "":
			want = append(want, "main.go", "main_front.go")
		default:
			want = append(want, dir)
		}
	}
	// In C, another module, and what stands for many.
	want = append(want, "init/", "cmd/tare-seccomp", "tests/*")
	slices.Sort(listed)
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		for _, w := range want {
			if !slices.Contains(listed, w) {
				t.Errorf("docs/architecture.md, Rooms: %s has no row", w)
			}
		}
		for _, l := range listed {
			if !slices.Contains(want, l) {
				t.Errorf("docs/architecture.md, Rooms: %s is no room", l)
			}
		}
	}
}

// TestDocumentedArrows: the arrows that docs/architecture.md draws from the two large
// rooms are those of this package.
func TestDocumentedArrows(t *testing.T) {
	text := section(t, "Rooms")
	for _, from := range []string{"libcontainer", "specconv"} {
		_, rest, ok := strings.Cut(text, "\n    "+from+" → ")
		if !ok {
			t.Errorf("docs/architecture.md, Rooms: no arrows from %s", from)
			continue
		}
		line, _, _ := strings.Cut(rest, "\n")
		var got []string
		for _, m := range regexp.MustCompile(`([a-z/]+)\{([^}]*)\}|([a-z/]+)`).FindAllStringSubmatch(line, -1) {
			if m[3] != "" {
				got = append(got, m[3])
				continue
			}
			for name := range strings.SplitSeq(m[2], ",") {
				got = append(got, m[1]+name)
			}
		}
		want := slices.Sorted(slices.Values(rooms[from].own))
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("docs/architecture.md: %s → %v, and the rooms say %v", from, got, want)
		}
	}
}
