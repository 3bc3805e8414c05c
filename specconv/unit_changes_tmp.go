package specconv

// Change is one value for one file of a container's cgroup (until cg's lands)
type Change struct {
	Dir                int
	File, Value, Field string
	Optional           bool
}
