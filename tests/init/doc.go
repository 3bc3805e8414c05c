// Package initc tests the C half of the plan, built for a libc with the address
// and undefined behaviour sanitizers: its reader against the Go decoder, which
// must give the same verdict on every string of bytes, and its handlers by
// running a plan to the end.
//
// Unlike the tests of tests/integration these know the insides: plans are made
// with the constructors of internal/plan.
package initc
