package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tare-oci/tare/internal/ojson"
	"github.com/tare-oci/tare/libcontainer"
)

func runEvents(c *call) error {
	interval, err := parseInterval(c.flags.str("interval"))
	if err != nil {
		return err
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	if c.flags.bool("stats") {
		s, err := ctr.Stats()
		if err != nil {
			return err
		}
		return c.printEvent(ctr.ID(), s)
	}
	return ctr.Watch(interval, func(e libcontainer.Event) error { return c.printEvent(ctr.ID(), e.Stats) })
}

// parseInterval reads a duration as Go writes it, or a number of seconds.
func parseInterval(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		seconds, numErr := strconv.ParseFloat(s, 64)
		if numErr != nil || !(seconds >= 0 && seconds < 1<<31) { // the latter also for NaN
			return 0, fmt.Errorf("--interval %q: is not a time like 5s or 500ms", s)
		}
		d = time.Duration(seconds * float64(time.Second))
	}
	if d <= 0 {
		return 0, fmt.Errorf("--interval %q: events interval must be greater than 0", s)
	}
	return d, nil
}

// printEvent prints one event on a line; without counters it is a lack of memory.
func (c *call) printEvent(id string, s *libcontainer.Stats) error {
	var w ojson.Writer
	w.Object()
	if s == nil {
		w.Key("type").String("oom")
		w.Key("id").String(id)
	} else {
		w.Key("type").String("stats")
		w.Key("id").String(id)
		s.Write(w.Key("data"))
	}
	w.End()
	_, err := c.stdout.Write(append(w.Bytes(), '\n'))
	return err
}
