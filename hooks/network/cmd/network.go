package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/tare-oci/tare/hooks/network"
	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/record"
)

func networks(c *call) error {
	verb := "ls"
	if len(c.args) > 0 {
		verb = c.args[0]
	}
	switch {
	case verb == "ls" && len(c.args) <= 1:
		for _, name := range config.Names(c.opts.ConfigDir) {
			n, err := config.Load(c.opts.ConfigDir, name)
			if err != nil {
				fmt.Fprintf(c.out, "%s\tinvalid: %v\n", name, err)
				continue
			}
			var subnets []string
			for _, s := range n.Subnets {
				subnets = append(subnets, s.Subnet.String())
			}
			fmt.Fprintf(c.out, "%s\t%s\t%s\t%s\n", n.Name, n.Driver, dash(n.Bridge), dash(strings.Join(subnets, ",")))
		}
		return nil
	case verb == "show" && len(c.args) == 2:
		n, err := config.Load(c.opts.ConfigDir, c.args[1])
		if err != nil {
			return err
		}
		return c.json(n)
	case verb == "rm" && len(c.args) == 2:
		return c.engine(func(e *network.Engine) error { return e.RemoveNetwork(c.args[1]) })
	}
	return errors.New("net: needs ls, show NAME or rm NAME")
}

func schema(c *call) error {
	text := config.Schema
	switch {
	case len(c.args) == 1 && c.args[0] == "attachments":
		text = record.Schema
	case len(c.args) > 1 || len(c.args) == 1 && c.args[0] != "network":
		return fmt.Errorf("schema %q: is neither network nor attachments", strings.Join(c.args, " "))
	}
	_, err := c.out.Write(text)
	return err
}

// inject adds the hooks and annotations to a config.json; done twice it changes
// nothing more.
func inject(c *call) error {
	if len(c.args) < 2 {
		return errors.New("inject: needs CONFIG.JSON networks=NAME...")
	}
	path := c.args[0]
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	// As a map: members that are not known here stay as they are.
	doc := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	annotations, _ := doc["annotations"].(map[string]any)
	if annotations == nil {
		annotations = map[string]any{}
	}
	all := map[string]string{}
	for _, w := range c.args[1:] {
		k, v, ok := strings.Cut(w, "=")
		if !ok {
			return fmt.Errorf("%q: is not ANNOTATION=VALUE", w)
		}
		annotations[config.Prefix+strings.TrimPrefix(k, config.Prefix)] = v
	}
	for k, v := range annotations {
		if s, ok := v.(string); ok {
			all[k] = s
		}
	}
	if _, err := config.ParseAnnotations(all); err != nil {
		return err
	}
	doc["annotations"] = annotations
	hooks, _ := doc["hooks"].(map[string]any)
	if hooks == nil {
		hooks = map[string]any{}
	}
	for _, kind := range []string{"createRuntime", "poststop"} {
		list, _ := hooks[kind].([]any)
		if !slices.ContainsFunc(list, func(h any) bool { m, _ := h.(map[string]any); return m["path"] == c.opts.Self }) {
			hooks[kind] = append(list, map[string]any{"path": c.opts.Self, "args": []any{"tare-net"}, "timeout": 60})
		}
	}
	doc["hooks"] = hooks
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(doc); err != nil {
		return err
	}
	if bytes.Equal(out.Bytes(), data) {
		return nil
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := record.WriteFile(path, out.Bytes()); err != nil {
		return err
	}
	return os.Chmod(path, st.Mode().Perm())
}
