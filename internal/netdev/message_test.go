package netdev

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

func ipBatch(t *testing.T, lines string) {
	t.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v\n%s", err, out)
	}
}

// Whatever the bytes are, reading ends and stays inside them.
func TestReadersOfOddBytes(t *testing.T) {
	whole := newRequest(unix.RTM_NEWADDR, 0, []byte{2, 24, 0, 0, 9, 0, 0, 0}).attr(unix.IFA_LOCAL, []byte{192, 0, 2, 1}).str(unix.IFA_LABEL, "x").bytes(7)
	if m := split(whole); len(m) != 1 || m[0].seq != 7 || m[0].typ != unix.RTM_NEWADDR {
		t.Fatalf("%+v", m)
	}
	for cut := range len(whole) {
		for at := range len(whole) {
			for _, b := range []byte{0, 1, 3, 255} {
				odd := append([]byte(nil), whole[:cut]...)
				if at < len(odd) {
					odd[at] = b
				}
				for _, m := range split(odd) {
					_, _ = parseAddress(m, 9)
					_ = verdict(m)
					m.typ, m.flags = unix.NLMSG_ERROR, unix.NLM_F_ACK_TLVS
					_ = verdict(m)
				}
			}
		}
	}
}

func TestAddressText(t *testing.T) {
	for want, a := range map[string]address{
		"192.0.2.1/24":             {prefix: 24, values: []value{{unix.IFA_ADDRESS, []byte{192, 0, 2, 9}}, {unix.IFA_LOCAL, []byte{192, 0, 2, 1}}}},
		"2001:db8:0:0:0:0:0:1/128": {prefix: 128, values: []value{{unix.IFA_ADDRESS, []byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}}},
	} {
		if got := a.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
