package network

import (
	"fmt"
	"strings"
	"time"
)

// worldHears is how many packets have come to the world.
func (l *lab) worldHears() (n int) {
	_, rest, _ := strings.Cut(l.in(l.w, "ip", "-s", "-j", "link", "show", "eth0").out, `"rx":{"bytes":`)
	_, rest, _ = strings.Cut(rest, `"packets":`)
	_, _ = fmt.Sscanf(rest, "%d", &n)
	return n
}

// within waits a while for a count that grows to be large enough, and returns it: what
// was sent comes a moment later.
func within(count func() int, enough int) (n int) {
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(3 * time.Millisecond) {
		if n = count(); n >= enough || time.Now().After(end) {
			return n
		}
	}
}

// ownFrames demands that the world gets the frames with a container's own address and not
// those of a foreign one, which are sent first.
func (l *lab) ownFrames(c *box, gateway, station, mine, foreign string) {
	l.t.Helper()
	before := l.worldHears()
	heard := func() int { return l.worldHears() - before }
	for _, from := range []string{foreign, mine} {
		if r := c.in(append([]string{peerAt, "frame", "eth0"}, repeat(udpFrame(l.t, gateway, station, from, "203.0.113.2", 9), 20)...)...); r.code != 0 {
			l.t.Fatal(r.err)
		}
	}
	if n := within(heard, 20); n < 20 || n >= 40 {
		l.t.Errorf("of 20 frames from %s and 20 from %s %d have reached the world", foreign, mine, n)
	}
}
