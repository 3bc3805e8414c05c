// Package deps holds no code: its tests prove which package of tare may import
// which, and what the binary carries along. The picture of the arrows is in
// docs/architecture.md.
package deps
