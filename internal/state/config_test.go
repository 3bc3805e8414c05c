package state

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// The config lies behind the record, whatever it looks like, and outlives every
// later change of the record by those who have not read it.
func TestConfigIsKept(t *testing.T) {
	s := newStore(t)
	for id, config := range map[string]string{
		"pretty": "{\n  \"ociVersion\": \"1.3.0\"\n}\n", "one-line": `{"a":1}`, "empty": "", "long": strings.Repeat("{}\n", 100000),
	} {
		r, err := s.Create(id)
		if err != nil {
			t.Fatal(err)
		}
		r.Config = []byte(config)
		if err := r.Begin(); err != nil {
			t.Fatal(err)
		}
		r.Pid = 7
		if err := r.Save(); err != nil {
			t.Fatal(err)
		}
		r.Unlock()
		for n := range 3 {
			plain, err := s.Load(id, true)
			if err != nil {
				t.Fatal(err)
			}
			if plain.Config != nil || plain.Pid != 7+n {
				t.Errorf("%s: Load gives pid %d and %d bytes of config", id, plain.Pid, len(plain.Config))
			}
			plain.Pid++
			if err := plain.Save(); err != nil {
				t.Fatal(err)
			}
			plain.Unlock()
			whole, data, err := s.LoadConfig(id, n == 1)
			if err != nil {
				t.Fatal(err)
			}
			if string(whole.Config) != config || !strings.HasSuffix(string(data), config) || whole.Pid != 8+n || whole.ID != id {
				t.Errorf("%s: pid %d and %d bytes of config, expected %d", id, whole.Pid, len(whole.Config), len(config))
			}
		}
	}
	if _, _, err := s.LoadConfig("none", true); !errors.Is(err, ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// A record that was written without a config, and before there was a second line.
func TestRecordWithoutConfig(t *testing.T) {
	s := newStore(t)
	st := sample()
	if err := os.WriteFile(s.path("x", ".json"), st.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	r, _, err := s.LoadConfig("x", true)
	if err != nil || len(r.Config) != 0 || r.Pid != st.Pid {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestNotifyDirGoesWithTheRecord(t *testing.T) {
	s := newStore(t)
	for name, end := range map[string]func(*Record) error{"remove": (*Record).Remove, "bury": (*Record).Bury} {
		r, err := s.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		r.Notify = true
		for range 2 { // a creator that was killed has left one
			if err := r.MakeNotifyDir(); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(r.NotifyDir()+"/"+NotifySocket, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := end(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(r.NotifyDir()); !os.IsNotExist(err) {
			t.Errorf("%s: the directory is still there: %v", name, err)
		}
		r.Unlock()
	}
}

// Who wants the settled record waits for a creator, and finds what it has made.
func TestSettledConfig(t *testing.T) {
	s := newStore(t)
	r, err := s.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	r.Config, r.Pid = []byte("{}"), 7
	if err := r.Save(); err != nil {
		t.Fatal(err)
	}
	if now, _, err := s.LoadConfig("x", false); err != nil || now.Pid != 7 {
		t.Errorf("%+v, %v", now, err)
	}
	go func() {
		time.Sleep(30 * time.Millisecond)
		r.Pid = 8
		_ = r.Save() // by rename: the lock that is waited for is of a file that is gone
		time.Sleep(30 * time.Millisecond)
		r.Pid = 9
		_ = r.Save()
		r.Unlock()
	}()
	if then, _, err := s.LoadConfig("x", true); err != nil || then.Pid != 9 {
		t.Errorf("%+v, %v", then, err)
	}
	last, err := s.Load("x", true) // nothing is still locked
	if err != nil {
		t.Fatal(err)
	}
	last.Unlock()
}
