// Package specconv decides what a config means: it turns config.json and facts
// about the host into a plan (internal/plan).
//
// It is pure. It reads no file, no clock and no environment, and the same input
// gives the same bytes; it finds every mistake of a config, not the first, each
// with its field path. compile.go is the page to read first: the order of the
// emit calls is the order in which a container is made.
package specconv
