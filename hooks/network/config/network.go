package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Drivers of a network.
const (
	Bridge  = "bridge"  // a bridge of the host, one veth pair per container
	PTP     = "ptp"     // a veth pair without a bridge, the host routes
	Macvlan = "macvlan" // a sub-interface of a link of the host, in the LAN itself
	VXLAN   = "vxlan"   // a bridge with one VXLAN port between hosts
	Device  = "device"  // an existing link of the host is moved
	Host    = "host"    // the host's own network; nothing is done
	None    = "none"    // only lo
	CNI     = "cni"     // a CNI configuration list does it
)

var drivers = []string{Bridge, PTP, Macvlan, VXLAN, Device, Host, None, CNI}

// Network is one network file. The zero value of a flag is not its default:
// see defaults.
type Network struct {
	Name    string   `json:"name"`
	Driver  string   `json:"driver,omitempty"`
	Bridge  string   `json:"bridge,omitempty"` // name of the bridge; "tn-NAME" when empty
	Parent  string   `json:"parent,omitempty"` // the host's link for macvlan, vxlan and device
	Subnets []Subnet `json:"subnets,omitempty"`
	MTU     int      `json:"mtu,omitempty"`

	Masquerade    bool `json:"masquerade"`    // hide container addresses from what lies beyond the bridge
	Hairpin       bool `json:"hairpin"`       // a container reaches its own published port
	ICC           bool `json:"icc"`           // containers of this network reach each other
	Isolate       bool `json:"isolate"`       // other networks of tare-net may not enter
	Internal      bool `json:"internal"`      // nothing leaves, nothing is published
	HostAccess    bool `json:"hostAccess"`    // containers reach services of the host itself
	DirectRouting bool `json:"directRouting"` // others may route to container addresses
	SpoofCheck    bool `json:"spoofCheck"`    // frames with foreign addresses are dropped
	UplinkOK      bool `json:"uplinkOK"`      // a bridge may be made of a link that has addresses

	Firewall     string            `json:"firewall,omitempty"`      // auto, nftables, iptables, none
	Proxy        bool              `json:"userlandProxy,omitempty"` // a process serves published ports too
	Routes       []Route           `json:"routes,omitempty"`
	DefaultRoute bool              `json:"defaultRoute"`
	DNS          DNS               `json:"dns,omitzero"`
	Sysctl       map[string]string `json:"sysctl,omitempty"` // in the container, after the link is there
	VXLAN        *Tunnel           `json:"vxlan,omitempty"`
	Shape        *Shape            `json:"shape,omitempty"`
	CNI          string            `json:"cni,omitempty"` // name of a configuration list
	// Allow lists what an annotation may decide; "" stands for the default list.
	Allow []string `json:"allow,omitempty"`

	text []byte
}

// Text is the file that the network was loaded from.
func (n *Network) Text() []byte { return n.text }

// Subnet is one range of addresses of a network.
type Subnet struct {
	Subnet  netip.Prefix `json:"subnet"`
	Gateway netip.Addr   `json:"gateway,omitzero"` // the first address when missing
	Range   netip.Prefix `json:"range,omitzero"`   // what is given out, a part of Subnet
	Exclude []netip.Addr `json:"exclude,omitempty"`
}

// Route is a route in the container.
type Route struct {
	Dst netip.Prefix `json:"dst"`
	Via netip.Addr   `json:"via,omitzero"` // the gateway of the network when missing
}

// DNS is what goes into the container's resolv.conf.
type DNS struct {
	Servers []netip.Addr `json:"servers,omitempty"`
	Search  []string     `json:"search,omitempty"`
	Options []string     `json:"options,omitempty"`
}

// Tunnel is a VXLAN with a fixed list of other ends (RFC 7348).
type Tunnel struct {
	ID      uint32       `json:"id"`
	Port    uint16       `json:"port,omitempty"` // 4789 when 0
	Local   netip.Addr   `json:"local"`
	Remotes []netip.Addr `json:"remotes"`
}

// Shape is a tree of HTB classes on a link of the host, which packets of
// containers are sorted into by their class id (net_cls) or by a match.
type Shape struct {
	Device  string           `json:"device"`
	Rate    Rate             `json:"rate"`
	Default string           `json:"default,omitempty"`
	Classes map[string]Class `json:"classes"`
	Match   []Match          `json:"match,omitempty"`
	// Classifier forces a rung of the ladder: cgroup, bpf, nft, iptables.
	Classifier string `json:"classifier,omitempty"`
}

// Class is one HTB class.
type Class struct {
	Rate Rate `json:"rate"`
	Ceil Rate `json:"ceil,omitempty"`
}

// Match sorts packets by their header (tc-u32).
type Match struct {
	Src   netip.Addr `json:"src,omitzero"`
	Dst   netip.Addr `json:"dst,omitzero"`
	DPort uint16     `json:"dport,omitempty"`
	Class string     `json:"class"`
}

// NameByte is a byte that names are made of.
func NameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '+' || c == '-'
}

// ValidName says why a name cannot be used in paths and comments.
func ValidName(s string, most int) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > most:
		return fmt.Errorf("is longer than %d bytes", most)
	case strings.IndexByte("_.+-", s[0]) >= 0 || strings.IndexFunc(s, func(c rune) bool { return c > 127 || !NameByte(byte(c)) }) >= 0:
		return errors.New("has characters other than letters, digits, '_', '.', '+' and '-', or begins with one of those")
	}
	return nil
}

// Defaults is a network before its file is read.
func Defaults() *Network {
	return &Network{Driver: Bridge, Masquerade: true, Hairpin: true, ICC: true, Isolate: true, HostAccess: true, SpoofCheck: true,
		DefaultRoute: true, Firewall: "auto"}
}

// Parse reads one network file.
func Parse(data []byte) (*Network, error) {
	n := Defaults()
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(n); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the document")
	}
	return n, n.check()
}

func (n *Network) check() error {
	if err := ValidName(n.Name, 64); err != nil {
		return fmt.Errorf("name %q %w", n.Name, err)
	}
	if !slices.Contains(drivers, n.Driver) {
		return fmt.Errorf("driver %q: is none of %s", n.Driver, strings.Join(drivers, ", "))
	}
	if n.Bridge == "" && (n.Driver == Bridge || n.Driver == VXLAN) {
		n.Bridge = "tn-" + n.Name
	}
	for what, name := range map[string]string{"bridge": n.Bridge, "parent": n.Parent} {
		if name == "" {
			continue
		}
		if err := ValidName(name, 15); err != nil {
			return fmt.Errorf("%s %q %w", what, name, err)
		}
	}
	if n.MTU != 0 && (n.MTU < 68 || n.MTU > 65535) {
		return fmt.Errorf("mtu %d: is not between 68 and 65535", n.MTU)
	}
	switch n.Firewall {
	case "", "auto", "nftables", "iptables", "none":
	default:
		return fmt.Errorf("firewall %q: is none of auto, nftables, iptables, none", n.Firewall)
	}
	if err := n.checkSubnets(); err != nil {
		return err
	}
	switch n.Driver {
	case Bridge, PTP, VXLAN:
		if len(n.Subnets) == 0 {
			return fmt.Errorf("subnets: driver %s needs one", n.Driver)
		}
	case CNI:
		if n.CNI == "" {
			n.CNI = n.Name
		}
	}
	if (n.Driver == Macvlan || n.Driver == Device) && n.Parent == "" {
		return fmt.Errorf("parent: driver %s needs the name of a link of the host", n.Driver)
	}
	if n.Driver == VXLAN && (n.VXLAN == nil || n.VXLAN.ID == 0 || n.VXLAN.ID >= 1<<24 || !n.VXLAN.Local.IsValid()) {
		return errors.New("vxlan: needs an id from 1 to 16777215 and a local address")
	}
	for i, r := range n.Routes {
		if !r.Dst.IsValid() {
			return fmt.Errorf("routes[%d].dst: is missing", i)
		}
	}
	if n.Shape != nil {
		if err := n.Shape.check(); err != nil {
			return fmt.Errorf("shape.%w", err)
		}
	}
	for _, a := range n.Allow {
		if !slices.Contains(Decidable, a) {
			return fmt.Errorf("allow %q: is none of %s", a, strings.Join(Decidable, ", "))
		}
	}
	return nil
}

func (n *Network) checkSubnets() error {
	seen := map[bool]bool{}
	for i := range n.Subnets {
		s := &n.Subnets[i]
		at := fmt.Sprintf("subnets[%d]", i)
		if !s.Subnet.IsValid() {
			return fmt.Errorf("%s.subnet: is missing", at)
		}
		if s.Subnet != s.Subnet.Masked() {
			return fmt.Errorf("%s.subnet %q: has bits set outside its mask, %s is meant", at, s.Subnet, s.Subnet.Masked())
		}
		six := s.Subnet.Addr().Is6()
		if seen[six] {
			return fmt.Errorf("%s.subnet %q: a network has one subnet of each family", at, s.Subnet)
		}
		seen[six] = true
		if most := map[bool]int{false: 30, true: 126}[six]; s.Subnet.Bits() > most {
			return fmt.Errorf("%s.subnet %q: is smaller than /%d", at, s.Subnet, most)
		}
		if !s.Gateway.IsValid() {
			s.Gateway = s.Subnet.Addr().Next()
		}
		if !s.Subnet.Contains(s.Gateway) {
			return fmt.Errorf("%s.gateway %q: is outside %s", at, s.Gateway, s.Subnet)
		}
		if s.Range.IsValid() && (!s.Subnet.Overlaps(s.Range) || s.Range.Bits() < s.Subnet.Bits()) {
			return fmt.Errorf("%s.range %q: is no part of %s", at, s.Range, s.Subnet)
		}
		for _, x := range s.Exclude {
			if !s.Subnet.Contains(x) {
				return fmt.Errorf("%s.exclude %q: is outside %s", at, x, s.Subnet)
			}
		}
	}
	return nil
}

// Load reads the network of a name from dir.
func Load(dir, name string) (*Network, error) {
	if err := ValidName(name, 64); err != nil {
		return nil, fmt.Errorf("network %q %w", name, err)
	}
	path := filepath.Join(dir, name+".json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("network %q: there is no file %s: %w", name, path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	n, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if n.Name != name {
		return nil, fmt.Errorf("%s: name %q: is not the name of the file", path, n.Name)
	}
	n.text = data
	return n, nil
}

// Names lists the networks that have a file in dir.
func Names(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && ValidName(name, 64) == nil {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// Subnet4 and Subnet6 are the network's subnet of a family, or nil.
func (n *Network) Subnet4() *Subnet { return n.subnet(false) }

// Subnet6 is the IPv6 subnet, or nil.
func (n *Network) Subnet6() *Subnet { return n.subnet(true) }

func (n *Network) subnet(six bool) *Subnet {
	for i := range n.Subnets {
		if n.Subnets[i].Subnet.Addr().Is6() == six {
			return &n.Subnets[i]
		}
	}
	return nil
}
