package config

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
)

// The schema and the decoder know the same members, at every level.
func TestSchemaIsWhatIsRead(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(Schema, &doc); err != nil {
		t.Fatal(err)
	}
	compare(t, "", doc, reflect.TypeFor[Network]())
	enum := doc["properties"].(map[string]any)["allow"].(map[string]any)["items"].(map[string]any)["enum"].([]any)
	var allowed []string
	for _, e := range enum {
		allowed = append(allowed, e.(string))
	}
	if !slices.Equal(allowed, Decidable) {
		t.Errorf("allow: the schema has %v, the decoder %v", allowed, Decidable)
	}
}

func compare(t *testing.T, at string, schema map[string]any, typ reflect.Type) {
	t.Helper()
	props, _ := schema["properties"].(map[string]any)
	var want, have []string
	for i := range typ.NumField() {
		f := typ.Field(i)
		if !f.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		want = append(want, name)
		sub, _ := props[name].(map[string]any)
		if items, ok := sub["items"].(map[string]any); ok {
			sub = items
		}
		if extra, ok := sub["additionalProperties"].(map[string]any); ok {
			sub = extra
		}
		inner := f.Type
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Map {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() == typ.PkgPath() {
			compare(t, at+"."+name, sub, inner)
		}
	}
	for name := range props {
		have = append(have, name)
	}
	sort.Strings(want)
	sort.Strings(have)
	if !slices.Equal(want, have) {
		t.Errorf("%s: the schema has %v, the decoder %v", at, have, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for doc, word := range map[string]string{
		`{}`:                                   "name",
		`{"name":"a/b"}`:                       "name",
		`{"name":"a","driver":"bond"}`:         "driver",
		`{"name":"a","typo":1}`:                "typo",
		`{"name":"a"}`:                         "subnets",
		`{"name":"a"} {}`:                      "after",
		`{"name":"a","driver":"none","mtu":1}`: "mtu",
		`{"name":"a","subnets":[{"subnet":"10.0.0.1/24"}]}`:                                                   "10.0.0.0/24",
		`{"name":"a","subnets":[{"subnet":"10.0.0.0/31"}]}`:                                                   "smaller",
		`{"name":"a","subnets":[{"subnet":"10.0.0.0/24"},{"subnet":"10.1.0.0/24"}]}`:                          "one subnet of each family",
		`{"name":"a","subnets":[{"subnet":"10.0.0.0/24","gateway":"10.1.0.1"}]}`:                              "gateway",
		`{"name":"a","subnets":[{"subnet":"10.0.0.0/24","range":"10.0.0.0/16"}]}`:                             "range",
		`{"name":"a","subnets":[{"subnet":"10.0.0.0/24","exclude":["10.2.0.0"]}]}`:                            "exclude",
		`{"name":"a","bridge":"much-too-long-name","subnets":[{"subnet":"10.0.0.0/24"}]}`:                     "15",
		`{"name":"a","driver":"macvlan"}`:                                                                     "parent",
		`{"name":"a","driver":"vxlan","subnets":[{"subnet":"10.0.0.0/24"}]}`:                                  "vxlan",
		`{"name":"a","driver":"none","allow":["everything"]}`:                                                 "everything",
		`{"name":"a","driver":"none","firewall":"pf"}`:                                                        "firewall",
		`{"name":"a","driver":"host","shape":{"device":"e","rate":"1mbit","classes":{"x":{"rate":"1mbit"}}}}`: "class",
		`{"name":"a","driver":"host","shape":{"device":"e","rate":"fast","classes":{}}}`:                      "rate",
		`{"name":"a","driver":"host","shape":{"device":"e","rate":"1mbit","classes":{},"classifier":"x"}}`:    "classifier",
	} {
		if _, err := Parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v, expected %q", doc, err, word)
		}
	}
}

func TestDefaultsOfAFile(t *testing.T) {
	n, err := Parse([]byte(`{"name":"web","subnets":[{"subnet":"10.1.0.0/16"},{"subnet":"fd00::/64"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if n.Bridge != "tn-web" || n.Subnet4().Gateway.String() != "10.1.0.1" || n.Subnet6().Gateway.String() != "fd00::1" ||
		!n.Masquerade || !n.Isolate || !n.SpoofCheck || n.DirectRouting || n.Internal {
		t.Errorf("%+v", n)
	}
}

func TestPorts(t *testing.T) {
	for in, want := range map[string]string{
		"8080:80": "8080:80/tcp", "127.0.0.1:53:5353/udp": "127.0.0.1:53:5353/udp", "[::1]:9:9": "[::1]:9:9/tcp", "0.0.0.0:1:2": "1:2/tcp",
		"7000-7010:8000-8010/sctp": "7000-7010:8000-8010/sctp", "1:1, 2:2": "1:1/tcp 2:2/tcp", "1:1,1:1/udp": "1:1/tcp 1:1/udp",
	} {
		ports, err := ParsePorts(in)
		var got []string
		for _, p := range ports {
			got = append(got, p.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v %v", in, got, err)
		}
	}
	for _, in := range []string{"80", "0:80", "70000:80", "80:80/icmp", "10-5:10-5", "1-3:1-2", "::1:80:80", "[::1:80:80", "x:1:1", "1:1,1:1", "5-9:5-9,7:7", "1:1,127.0.0.1:1:1", "a-b:1", "1:-", "-1:1", "[::ffff:1.2.3.4]:1:1"} {
		if ports, err := ParsePorts(in); err == nil {
			t.Errorf("%s: %v", in, ports)
		}
	}
	if p, err := ParsePorts("8000-8010:80"); err != nil || p[0].Until != 8010 || p[0].Count != 1 {
		t.Errorf("a range for one port: %+v %v", p, err)
	}
}

func TestRatesAndClasses(t *testing.T) {
	for in, want := range map[string]Rate{"16mbit": 16e6, "1gbit": 1e9, "500kbit": 5e5, "2mbps": 16e6, "64": 64, "1.5mbit": 15e5, "8bit": 8, "1kibit": 1024} {
		if r, err := ParseRate(in); err != nil || r != want {
			t.Errorf("%s: %d %v", in, r, err)
		}
	}
	for _, in := range []string{"", "fast", "-1mbit", "0", "99999tbit", "nan", "inf", "1e40"} {
		if r, err := ParseRate(in); err == nil {
			t.Errorf("%s: %d", in, r)
		}
	}
	for in, want := range map[string]uint32{"1:10": 0x10010, "0x10011": 0x10011, "65552": 65552, "aaaa:bbbb": 0xaaaabbbb} {
		if c, err := ParseClass(in); err != nil || c != want {
			t.Errorf("%s: %#x %v", in, c, err)
		}
	}
	for _, in := range []string{"", "0", "1:", ":1", "0:1", "1:10000", "ffff:1", "4294967296"} {
		if c, err := ParseClass(in); err == nil {
			t.Errorf("%s: %#x", in, c)
		}
	}
	if s := ClassText(0x10010); s != "1:10" {
		t.Error(s)
	}
}

func TestAnnotations(t *testing.T) {
	if r, err := ParseAnnotations(map[string]string{"org.example": "x"}); r != nil || err != nil {
		t.Errorf("without any of ours: %v %v", r, err)
	}
	all := map[string]string{"networks": "web, back", "ip.back": "10.0.0.9", "ip6": "fd00::9", "mac.web": "02:00:00:00:00:01", "ifname.back": "net1", "ports": "1:1",
		"bandwidth": "down=16mbit,up=1mbit,burst=64kb", "class": "1:10", "dns": "192.0.2.1 2001:db8::1", "search": "a.example", "hosts": "x=10.0.0.1", "aliases": "p,q",
		"hostname": "h", "mtu": "1400", "proxy": "on", "spoof-check": "off", "files": "mounts", "keep-address": "true", "floating-ip": "203.0.113.9",
		"routes": "10.0.0.0/8=10.0.0.1,fd00::/8", "sysctl.net.ipv4.conf.eth0.rp_filter": "2", "dns-options": "ndots:1"}
	full := map[string]string{}
	for k, v := range all {
		full[Prefix+k] = v
	}
	r, err := ParseAnnotations(full)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Networks) != 2 || r.Networks[0].IfName != "eth0" || r.Networks[1].IfName != "net1" || r.Networks[1].IP4 != netip.MustParseAddr("10.0.0.9") ||
		r.Networks[0].IP6 != netip.MustParseAddr("fd00::9") || r.Burst != 65536 || r.Class != 0x10010 || len(r.Routes) != 2 || !r.Keep {
		t.Errorf("%+v", r)
	}
	for k, bad := range map[string]string{"networks": "web,web", "ip.web": "fd00::1", "ip.nowhere": "10.0.0.1", "mac": "ff:ff:ff:ff:ff:ff", "ifname": "../x", "ifname.web": "lo",
		"ports": "x", "bandwidth": "sideways=1", "class": "x", "dns": "x", "hosts": "x", "hostname": "a b", "mtu": "12", "proxy": "maybe", "files": "x", "keep-address": "1",
		"floating-ip": "fd00::1", "routes": "x", "sysctl.kernel.x": "1", "sysctl.net/../kernel": "1", "unknown": "1", "unknown.web": "1"} {
		m := map[string]string{Prefix + "networks": "web"}
		m[Prefix+k] = bad
		if _, err := ParseAnnotations(m); err == nil || !strings.Contains(err.Error(), Prefix) {
			t.Errorf("%s=%s: %v", k, bad, err)
		}
	}
}

// N-74: whatever is written, a port stays a port.
func FuzzPorts(f *testing.F) {
	for _, s := range []string{"8080:80", "[::1]:1-9:1-9/udp", "1.2.3.4:1:1/sctp,2:2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ports, err := ParsePorts(s)
		if err != nil {
			return
		}
		for _, p := range ports {
			if p.Host == 0 || p.Container == 0 || p.Count == 0 || int(p.Host)+int(p.Count)-1 > 65535 || int(p.Container)+int(p.Count)-1 > 65535 || Protocols[p.Proto] == 0 {
				t.Fatalf("%q: %+v", s, p)
			}
			if p.Until == 0 {
				if again, err := ParsePorts(p.String()); err != nil || again[0] != p {
					t.Fatalf("%q is written %q, which is read as %+v: %v", s, p, again, err)
				}
			}
		}
	})
}

func FuzzAnnotations(f *testing.F) {
	f.Add("networks", "web", "ip.web", "10.0.0.1")
	f.Add("networks", "web", "bandwidth", "down=1mbit")
	f.Add("networks", "web", "routes", "::/0=::1")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		r, err := ParseAnnotations(map[string]string{Prefix + k1: v1, Prefix + k2: v2})
		if err != nil || r == nil {
			return
		}
		for _, l := range r.Networks {
			if ValidName(l.Network, 64) != nil || ValidName(l.IfName, 15) != nil {
				t.Fatalf("%+v", l)
			}
		}
	})
}

func FuzzNetwork(f *testing.F) {
	f.Add([]byte(`{"name":"a","subnets":[{"subnet":"10.0.0.0/24","range":"10.0.0.0/28","exclude":["10.0.0.3"]}],"shape":{"device":"x","rate":"1mbit","classes":{"1:1":{"rate":1000}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Parse(data)
		if err != nil {
			return
		}
		for _, s := range n.Subnets {
			if !s.Subnet.Contains(s.Gateway) || s.Subnet != s.Subnet.Masked() {
				t.Fatalf("%+v", s)
			}
		}
	})
}
