package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// enginePrograms are what tests/engines/guest runs. The guest is the same Debian as
// the reference host, so the host's own files are copied, with the libraries that
// they name; an image with all of them would be made for minutes.
var enginePrograms = []string{"/usr/sbin/dockerd", "/usr/bin/docker", "/usr/bin/docker-init", "/usr/bin/containerd",
	"/usr/bin/containerd-shim-runc-v2", "/usr/bin/ctr"}

// engineFiles are what a boot needs of them. Where the host has not all, it is
// skipped.
func (b *boot) engineFiles(ctx context.Context) (files []hostFile, runs bool) {
	if !b.engines {
		return nil, true
	}
	files, missing := findEngines(ctx)
	if missing != "" { // as a test that finds no place
		fmt.Printf(`{"Action":"output","Package":"tests/vm","Test":"Engines","Output":"this host has no %s\n"}`+"\n", missing)
		fmt.Println(`{"Action":"skip","Package":"tests/vm","Test":"Engines"}`)
	}
	return files, missing == ""
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
