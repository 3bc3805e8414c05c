package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// populations are the numbers of containers in a state directory. The first is
// what the others are compared with.
var populations = []int{10, 1000, 5000}

// cmdList is `list` of a state directory.
const cmdList command = "list"

// populated are the times of the runtime under test with a state directory of
// some size.
type populated struct {
	Records int                  `json:"records"`
	Millis  map[command][]sample `json:"milliseconds"`
}

// measurePopulated fills r.Populated. It is about the runtime under test alone:
// the records are its own.
func (b *bench) measurePopulated(ctx context.Context, r *report, quick bool) error {
	rt := b.underTest
	if rt == nil {
		return nil
	}
	sizes, rounds := populations, r.Rounds
	if quick {
		sizes = sizes[:2]
	}
	bundles, err := b.bundles(defaultBundle, "wait", b.fs.payload.wait)
	if err != nil {
		return err
	}
	template, err := b.stoppedRecord(ctx, rt, bundles[rt.Name])
	if err != nil {
		return fmt.Errorf("a state directory with many containers: %w", err)
	}
	var places []*ociRuntime
	for _, n := range sizes {
		place := *rt
		place.root = filepath.Join(b.states, rt.Name+"-"+strconv.Itoa(n))
		if err := template.copies(place.root, n); err != nil {
			return err
		}
		if err := b.listed(ctx, &place, n); err != nil {
			return err
		}
		places = append(places, &place)
		r.Populated = append(r.Populated, populated{Records: n, Millis: map[command][]sample{}})
	}
	order := make([]int, len(sizes))
	for i := range order {
		order[i] = i
	}
	runtime.GC()
	for round := range rounds + warmUpRounds {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			times, err := b.lifecycle(ctx, places[i], bundles[rt.Name], 0)
			if err != nil {
				return err
			}
			elapsed, err := b.launch.run(ctx, places[i].argv("list", "--quiet")...)
			if err != nil {
				return err
			}
			times[cmdList] = millis(elapsed)
			if round < warmUpRounds {
				continue
			}
			for c, x := range times {
				r.Populated[i].Millis[c] = append(r.Populated[i].Millis[c], x)
			}
		}
		fmt.Fprintf(b.progress, "\r%-44s %d/%d ", "lifecycle among many", round+1, rounds+warmUpRounds)
	}
	fmt.Fprintln(b.progress)
	return nil
}

// record is what a runtime keeps of one container.
type record struct {
	id    string
	files map[string][]byte // by name below the state directory
}

// stoppedRecord makes a container, lets it run and end, and reads what the
// runtime keeps of it.
func (b *bench) stoppedRecord(ctx context.Context, rt *ociRuntime, bundle string) (record, error) {
	place := *rt
	place.root = filepath.Join(b.states, rt.Name+"-template")
	c, _, err := b.create(ctx, &place, bundle)
	if err != nil {
		return record{}, err
	}
	rec := record{id: c.id, files: map[string][]byte{}}
	_, err = b.launch.run(ctx, place.argv("start", c.id)...)
	if err == nil {
		_, err = b.launch.run(ctx, place.argv("kill", c.id, "KILL")...)
	}
	if err == nil {
		err = awaitDeath(c.pidfd, c.pid, killWait)
	}
	if err == nil {
		err = filepath.WalkDir(place.root, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			name, err := filepath.Rel(place.root, path)
			if err == nil {
				rec.files[name], err = os.ReadFile(path)
			}
			return err
		})
	}
	if err == nil && len(rec.files) == 0 {
		err = errors.New("the runtime keeps no files of a stopped container")
	}
	return rec, errors.Join(err, b.discard(c))
}

// copies writes n records like this one, each under a name of its own.
func (rec record) copies(root string, n int) error {
	for i := range n {
		id := fmt.Sprintf("%s-%d", rec.id, i)
		for name, text := range rec.files {
			path := filepath.Join(root, strings.ReplaceAll(name, rec.id, id))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte(`"`+rec.id+`"`), []byte(`"`+id+`"`)), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// listed proves that the runtime takes n copies for containers.
func (b *bench) listed(ctx context.Context, rt *ociRuntime, n int) error {
	out, err := b.output(ctx, rt.argv("list", "--quiet")...)
	if got := len(strings.Fields(out)); err == nil && got != n {
		err = fmt.Errorf("%s lists %d of %d containers", rt.Name, got, n)
	}
	return err
}

// growth returns the ratios of a command's times in a state directory to those
// in the smallest one.
func (r *report) growth(i int, c command) []sample {
	return ratios(r.Populated[i].Millis[c], r.Populated[0].Millis[c])
}
