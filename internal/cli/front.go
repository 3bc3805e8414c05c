//go:build tare_front

package cli

import "github.com/tare-oci/tare/libcontainer"

// front says that this is the front, which leaves what is below to the whole:
// see package whole.
const front = true

func runCheck(*call) error      { return handOver{} }
func runCheckpoint(*call) error { return handOver{} }
func runRestore(*call) error    { return handOver{} }
func runFeatures(*call) error   { return handOver{} }
func runPlan(*call) error       { return handOver{} }
func runSpec(*call) error       { return handOver{} }

func (c *call) each(func(*libcontainer.Runtime, string) error) error { return handOver{} }
