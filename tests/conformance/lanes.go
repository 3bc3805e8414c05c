package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// sharesCgroups tells whether a program uses the cgroup v1 files of the host,
// below names that all such programs share.
func sharesCgroups(program string) bool {
	return strings.HasPrefix(program, "linux_cgroups_") ||
		program == "delete_resources" || program == "delete_only_create_resources"
}

// skipCgroups takes out the programs that can say nothing on a host with
// cgroup v2 only: they look for cgroup v1 files and give up.
func skipCgroups(programs []string) (rest []string, skipped []result) {
	for _, p := range programs {
		if sharesCgroups(p) {
			skipped = append(skipped, result{Program: p, Skipped: "reads cgroup v1 files; the host has cgroup v2 only"})
		} else {
			rest = append(rest, p)
		}
	}
	return rest, skipped
}

// lanes divides programs into up to n series that may run side by side. All
// that share cgroups are in the first.
func lanes(programs []string, n int) [][]string {
	all := make([][]string, n)
	next := 0
	for _, p := range programs {
		if n == 1 || sharesCgroups(p) {
			all[0] = append(all[0], p)
			continue
		}
		lane := 1 + next%(n-1)
		all[lane] = append(all[lane], p)
		next++
	}
	return slices.DeleteFunc(all, func(l []string) bool { return len(l) == 0 })
}

// runLanes runs every lane in a stage made after base, in its own folder below
// work, and returns all results.
func runLanes(ctx context.Context, work string, base *stage, lanes [][]string) ([]result, error) {
	var (
		wg      sync.WaitGroup
		results = make([][]result, len(lanes))
		errs    = make([]error, len(lanes))
	)
	for i, programs := range lanes {
		wg.Go(func() {
			results[i], errs[i] = runLane(ctx, work, filepath.Join(work, fmt.Sprint("lane", i)), base, programs)
		})
	}
	wg.Wait()
	return slices.Concat(results...), errors.Join(errs...)
}

// runLane prepares the folder of one stage and runs it.
func runLane(ctx context.Context, shared, work string, base *stage, programs []string) ([]result, error) {
	if err := os.MkdirAll(filepath.Join(work, "tmp"), 0o755); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(shared)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if !f.IsDir() {
			if err := os.Link(filepath.Join(shared, f.Name()), filepath.Join(work, f.Name())); err != nil {
				return nil, err
			}
		}
	}
	s := stage{
		Work: work, Bin: base.Bin, Out: base.Out, Runtime: base.Runtime, OCIVersion: base.OCIVersion,
		Timeout: base.Timeout, Mount: base.Mount, Programs: programs, Results: filepath.Join(work, "results.json"),
	}
	data, err := json.Marshal(&s)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(work, "stage.json")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return nil, err
	}
	if err := reexec(ctx, stageCommand, file); err != nil {
		return nil, err
	}
	data, err = os.ReadFile(s.Results)
	if err != nil {
		return nil, err
	}
	var results []result
	return results, json.Unmarshal(data, &results)
}
