//go:build !tare_front

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tare-oci/tare/internal/version"
	"github.com/tare-oci/tare/libcontainer"
	"github.com/tare-oci/tare/specconv"
)

func runSpec(c *call) error {
	spec := specconv.Default()
	if c.flags.bool("rootless") {
		spec = libcontainer.RootlessSpec()
	}
	if network := c.flags.str("network"); network != "" {
		if c.flags.bool("rootless") {
			return errors.New("--network: needs root, and does not go with --rootless")
		}
		hook, err := findNetworkHook()
		if err != nil {
			return err
		}
		specconv.Network(spec, hook, network)
	}
	data, err := indented(spec, "\t")
	if err != nil {
		return err
	}
	name := c.flags.str("config")
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.flags.str("bundle"), path)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("File %s exists. Remove it first", name) //nolint:staticcheck // the words of other runtimes
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path) // half of a config
	}
	return err
}

// networkHook is the program that `make install` puts beside tare.
const networkHook = "tare-net"

// findNetworkHook looks beside tare, by the name that tare was called by, and
// where programs of root are: a hook's path is absolute. The executable of this
// process may be in memory (package whole).
func findNetworkHook() (string, error) {
	dirs := []string{"/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"}
	if called := os.Args[0]; strings.Contains(called, "/") {
		if p, err := filepath.Abs(called); err == nil {
			dirs = append([]string{filepath.Dir(p)}, dirs...)
		}
	} else {
		for _, d := range filepath.SplitList(os.Getenv("PATH")) {
			if _, err := os.Stat(filepath.Join(d, called)); err == nil && filepath.IsAbs(d) {
				dirs = append([]string{d}, dirs...)
				break
			}
		}
	}
	for _, d := range dirs {
		p := filepath.Join(d, networkHook)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("--network: the hook %s is in none of %v", networkHook, dirs)
}

func runFeatures(c *call) error {
	doc := specconv.Features()
	doc.Annotations["io.github.tare-oci.tare.version"] = version.Version()
	doc.Annotations["io.github.tare-oci.tare.commit"] = version.Commit()
	doc.Annotations["org.opencontainers.runc.version"] = version.Version()
	doc.Annotations["org.opencontainers.runc.commit"] = version.Commit()
	data, err := indented(doc, "    ")
	if err != nil {
		return err
	}
	c.print(string(data))
	return nil
}

// indented prints v as JSON with a newline at its end.
func indented(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(v)
	return b.Bytes(), err
}
