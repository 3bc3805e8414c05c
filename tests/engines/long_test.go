package engines

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// How often, and how many at a time.
const (
	longExecs      = 500
	longContainers = 200
	longWidth      = 4
)

// api is Docker's, without the start of a client for each call.
var api = &http.Client{
	Timeout: patience,
	Transport: &http.Transport{
		MaxIdleConnsPerHost: longWidth,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", "/run/docker.sock")
		},
	},
}

// request does one call; the answer is decoded into out where that is not nil.
func request(method, path string, body, out any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, "http://docker/v1.41"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := api.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode >= 400:
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, answer)
	case out != nil:
		return json.Unmarshal(answer, out)
	}
	return nil
}

type idAnswer struct{ ID string }

// startOne creates and starts a container with tare.
func startOne(script string) (string, error) {
	var c idAnswer
	config := map[string]any{
		"Image": "box", "Cmd": []string{"sh", "-c", script},
		"HostConfig": map[string]any{"Runtime": "tare", "NetworkMode": "none"},
	}
	if err := request("POST", "/containers/create", config, &c); err != nil {
		return "", err
	}
	return c.ID, request("POST", "/containers/"+c.ID+"/start", nil, nil)
}

// runOne is the whole life of one container; its exit code must be n.
func runOne(n int) error {
	id, err := startOne("exit " + strconv.Itoa(n))
	if err != nil {
		return err
	}
	var end struct{ StatusCode int }
	if err := request("POST", "/containers/"+id+"/wait", nil, &end); err != nil {
		return err
	}
	if end.StatusCode != n {
		return fmt.Errorf("exit code %d, want %d", end.StatusCode, n)
	}
	return request("DELETE", "/containers/"+id, nil, nil)
}

// execOne runs a process in the container; its exit code must be n.
func execOne(id string, n int) error {
	var x idAnswer
	config := map[string]any{"Cmd": []string{"sh", "-c", "exit " + strconv.Itoa(n)}, "AttachStdout": true, "AttachStderr": true}
	if err := request("POST", "/containers/"+id+"/exec", config, &x); err != nil {
		return err
	}
	if err := request("POST", "/exec/"+x.ID+"/start", map[string]bool{"Detach": false}, nil); err != nil {
		return err
	}
	var end struct {
		Running  bool
		ExitCode int
	}
	for range 200 {
		if err := request("GET", "/exec/"+x.ID+"/json", nil, &end); err != nil {
			return err
		}
		if !end.Running {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if end.Running || end.ExitCode != n {
		return fmt.Errorf("running %v, exit code %d, want %d", end.Running, end.ExitCode, n)
	}
	return nil
}

// many does something often, some at a time.
func many(t *testing.T, times int, do func(n int) error) {
	t.Helper()
	jobs := make(chan int)
	var group sync.WaitGroup
	for range longWidth {
		group.Go(func() {
			for i := range jobs {
				if err := do(i % 120); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range times {
		jobs <- i
	}
	close(jobs)
	group.Wait()
}

// descriptors counts the open files of the engine's processes, by name.
func descriptors() map[string]int {
	out := map[string]int{}
	all, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, comm := range all {
		name, err := os.ReadFile(comm)
		if err != nil {
			continue
		}
		fds, err := os.ReadDir(filepath.Join(filepath.Dir(comm), "fd"))
		if who := strings.TrimSpace(string(name)); err == nil && (who == "dockerd" || strings.HasPrefix(who, "containerd")) {
			out[who] += len(fds)
		}
	}
	return out
}

// TestDockerLong calls exec and run so often that whatever one call leaves behind,
// a process, a descriptor, a mount, a cgroup, a file, is seen.
func TestDockerLong(t *testing.T) {
	needDocker(t)
	id, err := startOne("sleep 100000")
	if err != nil {
		t.Fatal(err)
	}
	// The engine opens some things with the first use, and keeps them.
	many(t, 2*longWidth, func(n int) error { return execOne(id, n) })
	many(t, 2*longWidth, runOne)
	before, fds := census(), descriptors()
	start := time.Now()
	many(t, longExecs, func(n int) error { return execOne(id, n) })
	t.Logf("%d execs: %.1f s", longExecs, time.Since(start).Seconds())
	start = time.Now()
	many(t, longContainers, runOne)
	t.Logf("%d containers: %.1f s", longContainers, time.Since(start).Seconds())
	api.CloseIdleConnections()
	for _, line := range news(before) {
		t.Error(line)
	}
	var now map[string]int
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		now = descriptors()
		if now["dockerd"] <= fds["dockerd"] && now["containerd"] <= fds["containerd"] && now["containerd-shim"] <= fds["containerd-shim"] {
			break
		}
	}
	for who, n := range now {
		if n > fds[who] {
			t.Errorf("%s had %d open files before, and has %d", who, fds[who], n)
		}
	}
	t.Logf("open files: %v", now)
	if err := request("DELETE", "/containers/"+id+"?force=true", nil, nil); err != nil {
		t.Error(err)
	}
}
