// Package ops tests every operation of the init against the kernel: a plan of a
// few ops is given to the real init in fresh namespaces, the effect is looked at
// from outside, and one failure of each op is forced and its report compared.
//
// The tests need root and the init in internal/initbin (`make init`).
package ops
