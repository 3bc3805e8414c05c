package cni

import (
	"context"
	"encoding/json"
	"os"
	"slices"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/tare-oci/tare/hooks/network/record"
	"github.com/tare-oci/tare/internal/sys"
)

// steps runs plugins and keeps what each of them has printed. The library keeps
// the result of a whole list only; if this process is killed before that, DEL would
// run without a prevResult, and Debian's firewall plugin then leaves its rules.
type steps struct {
	*invoke.DefaultExec
	k    *record.CNI
	save func() error
}

func newSteps(k *record.CNI, save func() error) *steps {
	e := &invoke.DefaultExec{RawExec: &invoke.RawExec{Stderr: os.Stderr}, PluginDecoder: version.PluginDecoder{}}
	return &steps{e, k, save}
}

// ExecPlugin runs one.
func (s *steps) ExecPlugin(ctx context.Context, path string, stdin []byte, env []string) ([]byte, error) {
	if slices.Contains(env, "CNI_COMMAND=DEL") {
		stdin = withResult(stdin, s.k.Result)
	}
	var out []byte
	err := sys.AsCaller(func() (err error) { // what a plugin leaves running has it too
		out, err = s.DefaultExec.ExecPlugin(ctx, path, stdin, env)
		return err
	})
	if err == nil && slices.Contains(env, "CNI_COMMAND=ADD") && json.Valid(out) {
		s.k.Result = out
		err = s.save()
	}
	return out, err
}

// withResult adds a prevResult to a configuration that has none.
func withResult(conf, result []byte) []byte {
	var members map[string]json.RawMessage
	if len(result) == 0 || json.Unmarshal(conf, &members) != nil || members["prevResult"] != nil {
		return conf
	}
	members["prevResult"] = result
	if out, err := json.Marshal(members); err == nil {
		return out
	}
	return conf
}
