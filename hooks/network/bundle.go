package network

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// bundle is what the hook takes from config.json.
type bundle struct {
	Dir, Root string
	Hostname  string
	NetAdmin  bool // the container may change its own qdiscs
	Class     uint32
	Binds     map[string]string // destination → source
}

// readBundle reads config.json; a bundle that cannot be read is an empty one,
// which asks for nothing.
func readBundle(dir string) *bundle {
	b := &bundle{Dir: dir, Binds: map[string]string{}}
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return b
	}
	var s struct {
		Hostname string
		Root     *specs.Root
		Process  *struct{ Capabilities *specs.LinuxCapabilities }
		Mounts   []specs.Mount
		Linux    *struct {
			Resources *struct {
				Network *struct {
					ClassID uint32 `json:"classID"`
				}
			}
		}
	}
	if json.Unmarshal(data, &s) != nil {
		return b
	}
	b.Hostname = s.Hostname
	if s.Root != nil {
		b.Root = s.Root.Path
		if !filepath.IsAbs(b.Root) {
			b.Root = filepath.Join(dir, b.Root)
		}
	}
	if s.Process != nil && s.Process.Capabilities != nil {
		b.NetAdmin = slices.Contains(s.Process.Capabilities.Bounding, "CAP_NET_ADMIN")
	}
	if s.Linux != nil && s.Linux.Resources != nil && s.Linux.Resources.Network != nil {
		b.Class = s.Linux.Resources.Network.ClassID
	}
	for _, m := range s.Mounts {
		if m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind") {
			src := m.Source
			if !filepath.IsAbs(src) {
				src = filepath.Join(dir, src)
			}
			b.Binds[filepath.Clean(m.Destination)] = src
		}
	}
	return b
}
