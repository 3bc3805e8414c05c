// Package config reads what a container and a host want of the network hook:
// network files, one JSON document each, and the annotations of config.json
// below one prefix. It decides nothing about the kernel and opens nothing but
// the files it is told to.
//
// A value that is out of range and a key that is not known are errors: a typing
// mistake must not open what was meant to be closed.
package config
