//go:build !tare_net_fault

package network

// fault is where a test build fails or dies; see fault_on.go.
func fault(string) error { return nil }
