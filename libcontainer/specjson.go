//go:build !tare_front

package libcontainer

import (
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// encodeSpec gives the config of a program that has no file.
func encodeSpec(spec *specs.Spec) ([]byte, error) { return json.Marshal(spec) }
