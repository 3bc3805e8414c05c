package network

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A library that has nothing of ours compares documents with their schemas.

func compiled(t *testing.T, draft *jsonschema.Draft, file string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(draft)
	c.AssertFormat()
	s, err := c.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// own is a schema that tare-net prints.
func (l *lab) own(name string) *jsonschema.Schema {
	l.t.Helper()
	file := filepath.Join(l.dir, name+".schema.json")
	l.must(os.WriteFile(file, []byte(l.tn("schema", name)), 0o644))
	return compiled(l.t, jsonschema.Draft2020, file)
}

// specification is the schema of config.json as the specification has it, but for
// references that lack the slash of a JSON pointer (RFC 6901): defs.json#definitions/uint32.
func (l *lab) specification() *jsonschema.Schema {
	l.t.Helper()
	need(l.t, "go") // knows where the module is
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	l.must(err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "schema", "*.json"))
	l.must(err)
	dir := filepath.Join(l.dir, "specification")
	l.must(os.MkdirAll(dir, 0o755))
	for _, f := range files {
		doc, err := os.ReadFile(f)
		l.must(err)
		l.must(os.WriteFile(filepath.Join(dir, filepath.Base(f)), bytes.ReplaceAll(doc, []byte("#definitions/"), []byte("#/definitions/")), 0o644))
	}
	return compiled(l.t, jsonschema.Draft4, filepath.Join(dir, "config-schema.json"))
}

// wrong is what a schema says against a document.
func wrong(t *testing.T, s *jsonschema.Schema, doc []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return s.Validate(v)
}

// N-71: what list and inspect print is what the schema says, whatever is attached.
func TestN71Schema(t *testing.T) {
	l := newLab(t)
	s := l.own("attachments")
	valid := func(when string, doc string, members ...string) {
		t.Helper()
		if err := wrong(t, s, []byte(doc)); err != nil {
			t.Errorf("%s: %v\n%s", when, err, doc)
		}
		for _, m := range members {
			if !strings.Contains(doc, `"`+m+`":`) {
				t.Errorf("%s: no member %q, which was to be seen:\n%s", when, m, doc)
			}
		}
	}
	valid("nothing", l.tn("list", "--json"))
	if _, err := os.Stat(pluginDir + "/portmap"); err == nil {
		l.keepsTables("nft")
		l.network("plug", `"driver": "cni", "cni": "plugged"`)
		l.conflist("10-x.conflist", "plugged", "")
		l.tn("attach", "plug", itoa(l.sleeper()), "networks=plug", "ports=8070:80")
		valid("a CNI list", l.tn("list", "--json"), "cni", "result")
		l.tn("detach", "plug")
		l.endPlugins()
	}
	allow := `"allow": ["ports", "floating-ip", "routes", "class", "bandwidth", "proxy"]`
	l.web(allow)
	l.network("back", backSubnets+", "+allow)
	l.network("p2p", `"driver": "ptp", "subnets": [{"subnet": "172.26.0.0/24"}]`)
	l.network("lan", `"driver": "macvlan", "parent": "up0", "subnets": [{"subnet": "203.0.113.0/24", "gateway": "203.0.113.1", "range": "203.0.113.64/27"}]`)
	l.network("dev", `"driver": "device", "parent": "spare"`)
	l.network("none", `"driver": "none"`)
	l.ip("-n", l.h, "link", "add", "spare", "type", "veth", "peer", "name", "spare2")
	t.Cleanup(func() { l.ip("-n", l.h, "link", "del", "spare") })
	a := l.box("a", "networks=web,back", "ports=8080:80,127.0.0.1:8081:81/udp,8000-8010:80", "bandwidth=down=16mbit,up=8mbit", "floating-ip=203.0.113.103",
		"proxy=on", "routes=198.51.100.0/24,192.0.2.0/24=172.30.0.9", "aliases=one,two", "hosts=printer=10.9.0.9", "keep-address=true", "class=1:10").
		capability("CAP_NET_ADMIN").up()
	b := l.box("b", "networks=web")
	for i, n := range b.spec.Linux.Namespaces {
		if n.Type == specs.NetworkNamespace {
			b.spec.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/net", a.pid)
		}
	}
	b.spec.Process.Args = []string{"/peer", "serve", "90"}
	b.up()
	for _, n := range []string{"p2p", "lan", "dev", "none"} {
		l.tn("attach", n, itoa(l.sleeper()), "networks="+n)
	}
	doc := l.tn("list", "--json")
	valid("all", doc, "ips", "ports", "floatingIP", "uplink", "class", "spoofCheck", "ifb", "down", "up", "keep", "proxy", "aliases", "users", "moved")
	valid("inspect", l.tn("inspect", a.id))
	// What the schema forbids.
	for from, to := range map[string]string{`"phase": "done"`: `"phase": "gone"`, `"v": 1`: `"v": 2`, `"proto": "tcp"`: `"proto": "tcp", "more": 1`, `"key": "`: `"key": "A`, `"host": 8080`: `"host": 70000`} {
		if !strings.Contains(doc, from) {
			t.Fatalf("%s is not in %s", from, doc)
		}
		if wrong(t, s, []byte(strings.Replace(doc, from, to, 1))) == nil {
			t.Errorf("the schema allows %s", to)
		}
	}
	for _, n := range []string{"p2p", "lan", "dev", "none"} {
		l.tn("detach", n)
	}
	b.down()
	a.down()
	l.tn("gc", "--kept")
}

// N-75: the configs with annotations, those that are shipped and those that are
// written, are valid by the specification's schema; the network file by ours.
func TestN75Schema(t *testing.T) {
	l := newLab(t)
	spec, own := l.specification(), l.own("network")
	check := func(s *jsonschema.Schema, file string) []byte {
		t.Helper()
		doc, err := os.ReadFile(file)
		l.must(err)
		if err := wrong(t, s, doc); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		return doc
	}
	shipped := filepath.Join("..", "..", "contrib", "network")
	doc := check(spec, shipped+"/config.json")
	check(own, shipped+"/networks.d/web.json")
	bundle := filepath.Join(l.dir, "written")
	l.must(os.MkdirAll(bundle+"/rootfs", 0o755))
	if r := run(nil, runtimes["tare"], "spec", "--bundle", bundle, "--network", "web"); r.code != 0 {
		t.Fatal(r.err)
	}
	check(spec, bundle+"/config.json")
	l.tn("inject", bundle+"/config.json", "networks=web", "ports=8080:80", "bandwidth=down=16mbit")
	check(spec, bundle+"/config.json")
	// The schema is one that says no.
	for from, to := range map[string]string{`"networks": "web"`: `"networks": 1`, `"path": "/usr/local/bin/tare-net", `: ``, `"timeout": 60`: `"timeout": "60"`} {
		from, to = strings.Replace(from, `"networks"`, `"`+prefix+`networks"`, 1), strings.Replace(to, `"networks"`, `"`+prefix+`networks"`, 1)
		if !bytes.Contains(doc, []byte(from)) {
			t.Fatalf("%s is not in %s", from, doc)
		}
		if wrong(t, spec, bytes.Replace(doc, []byte(from), []byte(to), 1)) == nil {
			t.Errorf("the specification's schema allows %s in place of %s", to, from)
		}
	}
	// And the shipped config works as it is, in the bundle's place.
	l.web("")
	b := l.bare("shipped")
	doc = bytes.Replace(doc, []byte(`"args": ["sh"]`), []byte(`"args": ["/peer", "serve", "80"]`), 1)
	l.must(os.WriteFile(b.bundle+"/config.json", bytes.ReplaceAll(doc, []byte(`"path": "/usr/local/bin/tare-net", "args": ["tare-net"]`),
		[]byte(fmt.Sprintf(`"path": %q, "args": ["tare-net", "--state", %q, "--config", %q]`, l.hook, l.state, l.config))), 0o644))
	l.must(os.Symlink(l.sharedRoot(), b.bundle+"/rootfs"))
	if r := run(nil, runtimes["tare"], "check", "--bundle", b.bundle); r.code != 0 {
		t.Errorf("tare check: %s%s", r.out, r.err)
	}
	if r := b.oci("create", "--bundle", b.bundle, b.id); r.code != 0 {
		t.Fatalf("create: %s", r.err)
	}
	b.alive = true
	if legs := b.legs(); len(legs) != 1 || len(legs[0].Ports) != 2 {
		t.Errorf("attachments: %+v", legs)
	}
}
