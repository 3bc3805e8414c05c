package cli

import "testing"

func TestSelectPids(t *testing.T) {
	const table = "UID        PID  PPID CMD\nroot         1     0 init\nroot        42     1 sh -c 42 1\n\nroot         7     1 x\n"
	got, err := selectPids(table, []int{42, 7, 99})
	if want := "UID        PID  PPID CMD\nroot        42     1 sh -c 42 1\nroot         7     1 x\n"; got != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for in, want := range map[string]string{
		"":                  "its output has no column PID",
		"UID CMD\nroot x\n": "its output has no column PID",
		"A PID\nb c\n":      `its output has "c" in the column PID`,
	} {
		if _, err := selectPids(in, nil); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}
