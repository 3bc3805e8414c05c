package systemd

// The systemd of this file is a mock: it stands for one that a real systemd cannot
// be made to be, which does not answer, whose jobs fail or never end, or which is
// gone in the middle. That the driver works with a real systemd is proven in the
// virtual machine (tests/integration, TestSystemd).

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// mock answers as systemd's manager and as one unit.
type mock struct {
	mu       sync.Mutex
	conn     *dbus.Conn
	calls    []string
	exists   int    // how often StartTransientUnit says that the unit exists
	result   string // of the job, "" for a job that never ends
	state    string // ActiveState, "" for a unit that is not known
	hang     bool   // StartTransientUnit does not answer
	end      chan struct{}
	onStart  func()
	variants []property // of the last unit
}

func (m *mock) called(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, name)
}

func (m *mock) count(name string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.calls {
		if c == name {
			n++
		}
	}
	return n
}

const (
	jobPath  = dbus.ObjectPath("/org/freedesktop/systemd1/job/7")
	unitPath = dbus.ObjectPath("/org/freedesktop/systemd1/unit/u")
)

func (m *mock) finish(unit string) {
	if m.result != "" {
		// A job of somebody else ends first.
		_ = m.conn.Emit(managerPath, jobRemoved, uint32(6), dbus.ObjectPath("/org/freedesktop/systemd1/job/6"), unit, "canceled")
		_ = m.conn.Emit(managerPath, jobRemoved, uint32(7), jobPath, unit, m.result)
	}
}

func (m *mock) StartTransientUnit(unit, _ string, props []property, _ []auxiliary) (dbus.ObjectPath, *dbus.Error) {
	m.called("start")
	m.mu.Lock()
	m.variants = props
	exists := m.exists
	m.exists--
	m.mu.Unlock()
	if m.onStart != nil {
		m.onStart()
	}
	if m.hang {
		<-m.end
	}
	if exists > 0 {
		return "", dbus.NewError(errUnitExists, []any{"Unit " + unit + " was already loaded."})
	}
	m.finish(unit) // before the answer: the other side must not miss it
	return jobPath, nil
}

func (m *mock) StopUnit(unit, _ string) (dbus.ObjectPath, *dbus.Error) {
	m.called("stop")
	if m.state == "" {
		return "", dbus.NewError(errNoSuchUnit, []any{"Unit " + unit + " not loaded."})
	}
	go m.finish(unit)
	return jobPath, nil
}

func (m *mock) ResetFailedUnit(string) *dbus.Error { m.called("reset"); return nil }

func (m *mock) Subscribe() *dbus.Error { m.called("subscribe"); return nil }

func (m *mock) SetUnitProperties(string, bool, []property) *dbus.Error { m.called("set"); return nil }

func (m *mock) GetUnit(unit string) (dbus.ObjectPath, *dbus.Error) {
	if m.state == "" {
		return "", dbus.NewError(errNoSuchUnit, []any{"Unit " + unit + " not loaded."})
	}
	return unitPath, nil
}

// Get is org.freedesktop.DBus.Properties.Get.
func (m *mock) Get(_, name string) (dbus.Variant, *dbus.Error) {
	switch name {
	case "Version":
		return dbus.MakeVariant("252.39-1~deb12u1"), nil
	case "ControlGroup":
		return dbus.MakeVariant("/user.slice/user-1.slice/user@1.service"), nil
	}
	return dbus.MakeVariant(m.state), nil
}

const busConfig = `<busconfig><type>session</type><listen>unix:path=SOCKET</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow own="*"/><allow receive_sender="*"/></policy></busconfig>`

// bus starts a private bus daemon at a path, and returns what ends it.
func bus(t *testing.T, socket string) (stop func()) {
	t.Helper()
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("needs dbus-daemon:", err)
	}
	config := filepath.Join(t.TempDir(), "bus.conf")
	if err := os.WriteFile(config, []byte(strings.Replace(busConfig, "SOCKET", socket, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(daemon, "--config-file="+config, "--nofork", "--nopidfile")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			_ = os.Remove(socket)
		})
	}
	t.Cleanup(stop)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			_ = c.Close()
			return stop
		}
		if time.Now().After(end) {
			t.Fatal("dbus-daemon does not listen")
		}
	}
}

// serve has the mock answer on a bus.
func (m *mock) serve(t *testing.T, socket string) {
	t.Helper()
	conn, err := dbus.Connect("unix:path=" + socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	m.conn = conn
	for _, e := range []struct {
		path  dbus.ObjectPath
		iface string
	}{{managerPath, managerIface}, {managerPath, "org.freedesktop.DBus.Properties"}, {unitPath, "org.freedesktop.DBus.Properties"}} {
		if err := conn.Export(m, e.path, e.iface); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.RequestName(service, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
}

// start returns the mock and a connection to it, whose patience is short.
func start(t *testing.T, m *mock) (*conn, string, func()) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "bus")
	stop := bus(t, socket)
	m.end = make(chan struct{})
	m.serve(t, socket)
	t.Cleanup(func() { close(m.end) })
	c := &conn{at: []address{{where: "unix:path=" + socket}}, wait: 30 * time.Second}
	if err := c.dial(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, socket, stop
}

func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, expected one that says %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

const unitName = "tare-x.scope"

func TestMockJobDone(t *testing.T) {
	m := &mock{result: "done"}
	c, _, _ := start(t, m)
	props := []string{"Description='x'", "Delegate=true", "MemoryMax=uint64 5", "AllowedCPUs=[byte 1, 2]", "DeviceAllow=[('/dev/null', 'rw')]",
		"After=['a', 'b']", "D=1.5", "V=<int16 -3>", "M={'k': <uint32 7>}", "O=objectpath '/o'", "G=signature 'as'", "N=int64 -9"}
	if err := c.Start(unitName, props, 42); err != nil {
		t.Fatal(err)
	}
	var types []string
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.variants {
		types = append(types, p.Name+" "+p.Value.Signature().String()+" "+p.Value.String())
	}
	want := "Description s \"x\";Delegate b true;MemoryMax t @t 5;AllowedCPUs ay @ay [0x1, 0x2];DeviceAllow a(ss) [[\"/dev/null\", \"rw\"]];" +
		"After as [\"a\", \"b\"];D d @d 1.5;V v <@n -3>;M a{sv} {\"k\": <@u 7>};O o @o \"/o\";G g @g \"as\";N x @x -9;PIDs au @au [42]"
	if got := strings.Join(types, ";"); got != want {
		t.Errorf("the unit got\n%s\nexpected\n%s", got, want)
	}
}

func TestMockManager(t *testing.T) {
	c, _, _ := start(t, &mock{})
	version, root, err := c.Manager()
	if version != 252 || root != "/user.slice/user-1.slice/user@1.service" || err != nil {
		t.Errorf("version %d, root %s, %v", version, root, err)
	}
}

// TestMockNoManager: a bus on which there is no systemd, and none that could be started.
func TestMockNoManager(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "bus")
	bus(t, socket)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+socket)
	c, err := Dial(false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _, err = c.Manager()
	says(t, err, "property Version of systemd", "org.freedesktop.systemd1")
	says(t, c.Start(unitName, nil, 1), unitName, "org.freedesktop.systemd1")
}

func TestMockJobFails(t *testing.T) {
	for _, result := range []string{"failed", "timeout", "canceled", "dependency"} {
		m := &mock{result: result}
		c, _, _ := start(t, m)
		err := c.Start(unitName, nil, 1)
		says(t, err, unitName, result)
		var job *JobError
		if !errors.As(err, &job) || job.Result != result || job.Unit != unitName {
			t.Errorf("%v is no JobError with %s", err, result)
		}
		if m.count("reset") != 1 {
			t.Errorf("a unit that has %s was not reset", result)
		}
	}
}

func TestMockJobNeverEnds(t *testing.T) {
	m := &mock{state: "activating"}
	c, _, _ := start(t, m)
	c.wait = 300 * time.Millisecond
	began := time.Now()
	says(t, c.Start(unitName, nil, 1), unitName, "not done within 300ms")
	says(t, c.Stop(unitName), unitName, "not done within 300ms")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestMockNoAnswer(t *testing.T) {
	m := &mock{hang: true}
	c, _, _ := start(t, m)
	c.wait = 300 * time.Millisecond
	says(t, c.Start(unitName, nil, 1), unitName, "no answer within 300ms")
}

func TestMockUnitExists(t *testing.T) {
	for state, want := range map[string]string{"failed": "", "inactive": "", "active": "exists already, and is active", "activating": "exists already"} {
		m := &mock{result: "done", exists: 1, state: state}
		c, _, _ := start(t, m)
		err := c.Start(unitName, nil, 1)
		switch {
		case want != "":
			says(t, err, unitName, want)
		case err != nil:
			t.Errorf("%s: %v", state, err)
		case m.count("start") != 2:
			t.Errorf("%s: tried %d times", state, m.count("start"))
		}
		if reset := m.count("reset"); (state == "failed") != (reset == 1) {
			t.Errorf("%s: reset %d times", state, reset)
		}
	}
	m := &mock{result: "done", exists: 1 << 20, state: "failed"} // it always comes again
	c, _, _ := start(t, m)
	c.wait = 300 * time.Millisecond
	says(t, c.Start(unitName, nil, 1), unitName, "already loaded")
}

func TestMockStop(t *testing.T) {
	for _, m := range []*mock{{}, {state: "active", result: "done"}} { // the first does not know the unit
		c, _, _ := start(t, m)
		if err := c.Stop(unitName); err != nil {
			t.Error(err)
		}
		if m.count("stop") != 1 || m.count("reset") != 1 {
			t.Errorf("calls: %v", m.calls)
		}
	}
}

// TestMockLost: the connection is lost in the middle of a start, and systemd comes
// back, as it does when it executes itself again.
func TestMockLost(t *testing.T) {
	for _, state := range []string{"active", "failed", ""} {
		began := make(chan struct{})
		m := &mock{hang: true, onStart: func() { close(began) }}
		c, socket, stop := start(t, m)
		go func() {
			<-began
			stop()
			bus(t, socket)
			again := &mock{state: state}
			again.serve(t, socket)
		}()
		err := c.Start(unitName, nil, 1)
		switch {
		case state == "active" && err != nil:
			t.Errorf("a unit that is active after all: %v", err)
		case state == "failed":
			says(t, err, unitName, "failed")
		case state == "":
			says(t, err, unitName, "connection was lost")
		}
	}
}

// TestMockLostForGood: nobody comes back.
func TestMockLostForGood(t *testing.T) {
	began := make(chan struct{})
	m := &mock{hang: true, onStart: func() { close(began) }}
	c, _, stop := start(t, m)
	c.wait = time.Second
	go func() { <-began; stop() }()
	says(t, c.Start(unitName, nil, 1), unitName, "connection was lost", "cannot be reached")
}

// TestSilentPeer: who takes the connection and says nothing does not hold anybody up.
func TestSilentPeer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "silent")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &conn{at: []address{{"unix:path=" + socket, true}}, wait: 200 * time.Millisecond}
	says(t, c.dial(), "systemd cannot be reached", socket, "no answer within 200ms")
}

func TestNobody(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+dir+"/other")
	_, err := Dial(true)
	says(t, err, "systemd cannot be reached", dir+"/systemd/private", dir+"/other", dir+"/bus", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+dir+"/system")
	_, err = Dial(false)
	says(t, err, "systemd cannot be reached", dir+"/system")
}

func TestVersionNumber(t *testing.T) {
	for text, want := range map[string]int{"252.39-1~deb12u1": 252, "v245.4-4ubuntu3": 245, "systemd 219": 219, "257": 257, "v258~rc1": 258, "": 0, "main": 0} {
		if got := versionNumber(text); got != want {
			t.Errorf("%q: %d, expected %d", text, got, want)
		}
	}
}
