package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// enginePrograms are what tests/engines/guest runs. The guest is the same Debian as
// the reference host, so the host's own files are copied, with the libraries that
// they name; an image with all of them would be made for minutes.
var enginePrograms = []string{"/usr/sbin/dockerd", "/usr/bin/docker", "/usr/bin/docker-init", "/usr/bin/containerd",
	"/usr/bin/containerd-shim-runc-v2", "/usr/bin/ctr", "/usr/bin/podman", "/usr/bin/conmon"}

// engineFolders are what podman reads, and what the scripts share with those of
// tests/engines.
var engineFolders = []hostFile{{"/etc/containers", "/etc/containers"}, {"/usr/share/containers", "/usr/share/containers"},
	{"contrib/podman/tare.conf", "/etc/containers/containers.conf.d/tare.conf"}, {"contrib/containerd/config.toml", "/srv/engines/containerd.toml"},
	{"tests/engines/scripts/lib.sh", "/srv/engines/lib.sh"}}

// engineFiles are what a boot needs of them. Where the host has not all, it is
// skipped.
func (b *boot) engineFiles(ctx context.Context, work string) (files []hostFile, runs bool, err error) {
	if !b.engines {
		return nil, true, nil
	}
	files, missing := findEngines(ctx)
	if missing != "" { // as a test that finds no place
		fmt.Printf(`{"Action":"output","Package":"tests/vm","Test":"Engines","Output":"this host has no %s\n"}`+"\n", missing)
		fmt.Println(`{"Action":"skip","Package":"tests/vm","Test":"Engines"}`)
	}
	if missing != "" {
		return nil, false, nil
	}
	client := filepath.Join(work, "cri")
	err = do(ctx, "", "env", "CGO_ENABLED=0", "go", "-C", "tests/engines/cri", "build", "-trimpath", "-o", client, ".")
	return slices.Concat(files, engineFolders, []hostFile{{client, "/usr/bin/cri"}}), true, err
}

// findEngines returns them, or which one the host lacks.
func findEngines(ctx context.Context) (files []hostFile, missing string) {
	var paths []string
	for _, path := range enginePrograms {
		paths = append(paths, path)
		out, _ := exec.CommandContext(ctx, "ldd", path).Output() // fails for a static one
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) > 2 && f[1] == "=>" && !slices.Contains(paths, f[2]) {
				paths = append(paths, f[2])
			}
		}
	}
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			return nil, p
		}
		files = append(files, hostFile{p, p})
	}
	return files, ""
}
