// Package console is about terminals and the sockets that carry them: the
// terminal of the person in front of tare, the copying between it and the one of
// a container, and messages with a descriptor (unix(7), SCM_RIGHTS).
package console
