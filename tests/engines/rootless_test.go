package engines

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// An ordinary user of the machine, who exists only in its /etc.
const (
	userName = "tester"
	userID   = 4321
)

// asUser are the words that run a command as the user, who has nothing of the
// caller's environment.
func asUser(command ...string) []string {
	home, id := "/home/"+userName, strconv.Itoa(userID)
	return append([]string{"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups", "env", "-i", "HOME=" + home, "USER=" + userName,
		"XDG_RUNTIME_DIR=/run/user/" + id, "TMPDIR=" + scratch, "PATH=" + os.Getenv("PATH")}, command...)
}

// makeUser makes the user with a home, a runtime directory and a range of ids.
var makeUser = sync.OnceValue(func() error {
	id := strconv.Itoa(userID)
	run := "/run/user/" + id
	steps := [][]string{
		{"useradd", "--create-home", "--uid", id, "--shell", "/bin/sh", userName},
		{"mkdir", "-p", "-m", "0711", "/run/user"},
		{"install", "-d", "-m", "0700", "-o", userName, "-g", userName, run},
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		steps = append(steps, []string{"sh", "-c", "grep -q '^" + userName + ":' " + file + " || echo " + userName + ":500000:65536 >>" + file})
	}
	steps = append(steps, asUser("podman", "import", "--change", "CMD=/bin/sh", "--change", "ENV=PATH=/usr/sbin:/usr/bin:/sbin:/bin", images+"/box.tar", "box"))
	for _, words := range steps {
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir = "/"
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(words, " "), err, out)
		}
	}
	return nil
})

// TestPodmanRootless runs the scripts for podman of an ordinary user.
func TestPodmanRootless(t *testing.T) {
	needPodman(t)
	if err := makeUser(); err != nil {
		t.Fatal(err)
	}
	runScripts(t, "rootless")
}
