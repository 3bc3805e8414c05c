package cni

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzList: whatever stands in a configuration directory, Load panics at nothing,
// and what it returns has the name that was asked for and a plugin.
func FuzzList(f *testing.F) {
	f.Add([]byte(`{"cniVersion": "1.0.0", "name": "x", "plugins": [{"type": "bridge"}]}`), true)
	f.Add([]byte(`{"cniVersion": "0.3.1", "name": "x", "type": "bridge", "ipam": {}}`), false)
	f.Add([]byte(`{"cniVersion": "1.1.0", "cniVersions": ["1.0.0"], "name": "x", "disableGC": true, "loadOnlyInlinedPlugins": true, "plugins": []}`), true)
	f.Add([]byte(`{"name": "x", "plugins": [{}]}`), true)
	f.Fuzz(func(t *testing.T, doc []byte, list bool) {
		dir := t.TempDir()
		name := "10-x.conf"
		if list {
			name += "list"
		}
		if err := os.WriteFile(filepath.Join(dir, name), doc, 0o600); err != nil {
			t.Fatal(err)
		}
		r := &Runner{ConfDir: dir, BinDirs: []string{dir}, CacheDir: dir}
		l, err := r.Load("x")
		if err != nil {
			return
		}
		if l == nil || l.Name != "x" {
			t.Fatalf("%q: %+v", doc, l)
		}
		Sweeps(l)
		Keep(l, &Wish{ID: "c", IfName: "eth0"})
	})
}
