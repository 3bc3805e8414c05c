package deps

const (
	xsys  = "golang.org/x/sys/unix"
	specs = "github.com/opencontainers/runtime-spec/specs-go"
	feats = "github.com/opencontainers/runtime-spec/specs-go/features"
	urfav = "github.com/urfave/cli/v2"
	dbus  = "github.com/godbus/dbus/v5"
	criu  = "github.com/checkpoint-restore/go-criu/v8/rpc"

	// Of the network hook; none of them may be linked into tare.
	vlink    = "github.com/vishvananda/netlink"
	blake2s  = "golang.org/x/crypto/blake2s"
	vnetns   = "github.com/vishvananda/netns"
	nftables = "github.com/google/nftables"
)

// netRooms are the subjects of the network hook.
var netRooms = []string{"hooks/network/cni", "hooks/network/firewall", "hooks/network/firewall/ipt", "hooks/network/firewall/nft", "hooks/network/ipam",
	"hooks/network/link", "hooks/network/names", "hooks/network/netns", "hooks/network/proxy", "hooks/network/publish", "hooks/network/shape"}

// room says what a package may import. A package of the tree that has no room
// is refused: who adds one decides here, with a reason, what it depends on.
type room struct {
	why   string   // of the limits below
	own   []string // packages of tare, without the module's path
	other []string // packages of other modules
	std   []string // packages of the standard library; nil for all of them
}

// What a pure room may use: nothing that reads a clock, a file, an environment,
// or anything random, so that the same input gives the same output everywhere.
var pure = []string{"bytes", "cmp", "encoding/binary", "errors", "hash/fnv", "io/fs", "iter", "maps", "math", "math/bits", "path", "slices",
	"sort", "strconv", "strings", "unicode/utf16", "unicode/utf8"}

func pureAnd(more ...string) []string { return append(append([]string{}, pure...), more...) }

// rooms, outermost first. The key is the folder; one that ends in "/" is for
// every package below it.
var rooms = map[string]room{
	"":               {why: "main only prints help or hands over to the whole; commands have run before it", own: []string{"internal/cli/early", "internal/cli/usage", "internal/cli/withsystemd", "internal/whole"}, std: []string{"os"}},
	"internal/whole": {why: "executes what it carries", own: []string{"internal/entry", "internal/sealed"}, std: []string{"embed", "errors", "fmt", "os", "runtime", "strconv", "syscall"}},
	"internal/cli/early": {
		why: "it runs before urfave/cli is initialised, and so may depend on nothing that imports it",
		own: []string{"internal/cli", "internal/entry"}, std: []string{"os"},
	},
	"internal/cli/withsystemd": {
		why: "it runs commands that need systemd before urfave/cli is initialised, and nothing else",
		own: []string{"internal/cli", "internal/cli/early", "libcontainer/systemd"}, std: []string{"os"},
	},
	"libcontainer/systemd": {
		why:   "the one room that speaks D-Bus; a program without the systemd driver does not carry it, so nobody but a main imports it",
		own:   []string{"internal/gvariant", "libcontainer"},
		other: []string{dbus},
	},
	"internal/cli/usage": {why: "help and completion, the only part that needs urfave/cli", own: []string{"internal/cli"}, other: []string{urfav}},
	"internal/cli": {
		why:   "it reads flags and prints; what a container is stands in libcontainer, what a config means in specconv",
		own:   []string{"internal/catch", "internal/console", "internal/entry", "internal/field", "internal/ojson", "internal/sys", "internal/version", "libcontainer", "specconv"},
		other: []string{specs, xsys},
	},
	"specconv": {
		why:   "a plan depends on its input alone: no clock, files, environment or kernel (io/fs is for the file modes of specs-go)",
		own:   []string{"internal/facts", "internal/field", "internal/gvariant", "internal/ojson", "internal/plan", "internal/seccomp"},
		other: []string{specs, feats},
		std:   pure,
	},
	"libcontainer": {
		why: "the library that a program imports; it compiles and runs plans, and knows nothing of flags and terminals' users",
		own: []string{"hooks", "internal/aside", "internal/cgroup", "internal/console", "internal/criu", "internal/devfilter", "internal/entry", "internal/facts", "internal/field", "internal/initbin", "internal/initproto", "internal/netdev", "internal/ociconfig",
			"internal/ocischema", "internal/ojson", "internal/plan", "internal/probe", "internal/rdt", "internal/state", "internal/sys", "specconv"},
		other: []string{specs, xsys},
	},
	"hooks/network": {
		why:   "the order in which the network hook does its work; every subject is in a room below",
		own:   append([]string{"hooks/network/config", "hooks/network/record", "internal/sys", "internal/version"}, netRooms...),
		other: []string{blake2s, specs, xsys},
	},
	"hooks/network/cmd": {why: "flags, streams and exit codes of tare-net",
		own: []string{"hooks/network", "hooks/network/config", "hooks/network/proxy", "hooks/network/record", "internal/entry", "internal/version"}},
	"hooks/network/config":       {why: "reads files and words; knows no kernel", std: append([]string{"embed", "encoding/json", "fmt", "io", "net", "net/netip", "os", "path/filepath"}, pure...)},
	"hooks/network/record":       {why: "files of the state directory", own: []string{"hooks/network/config"}, other: []string{blake2s, xsys}},
	"hooks/network/ipam":         {why: "leases are files", own: []string{"hooks/network/config", "hooks/network/record"}, other: []string{xsys}},
	"hooks/network/publish":      {why: "reservations are files; a port is probed by a socket", own: []string{"hooks/network/config", "hooks/network/record"}, other: []string{xsys}},
	"hooks/network/names":        {why: "writes resolv.conf, hosts and hostname", own: []string{"hooks/network/config"}, other: []string{xsys}},
	"hooks/network/netns":        {why: "opens network namespaces", own: []string{"hooks/network/record"}, other: []string{vnetns, xsys}},
	"hooks/network/link":         {why: "rtnetlink: links, addresses, routes", own: []string{"hooks/network/config", "hooks/network/netns"}, other: []string{blake2s, vlink, vlink + "/nl", xsys}},
	"hooks/network/shape":        {why: "rtnetlink: queues, classes, filters", own: []string{"hooks/network/config", "hooks/network/netns"}, other: []string{vlink, vlink + "/nl", xsys}},
	"hooks/network/proxy":        {why: "copies bytes between sockets", own: []string{"hooks/network/config", "hooks/network/record"}, other: []string{xsys}},
	"hooks/network/cni":          {why: "the one room that knows libcni", own: []string{"hooks/network/config", "hooks/network/record", "internal/sys"}, other: []string{"github.com/containernetworking/cni/libcni", "github.com/containernetworking/cni/pkg/invoke", "github.com/containernetworking/cni/pkg/types", "github.com/containernetworking/cni/pkg/types/100", "github.com/containernetworking/cni/pkg/version"}},
	"hooks/network/firewall":     {why: "says what rules are for, not how they are written", own: []string{"hooks/network/config"}},
	"hooks/network/firewall/nft": {why: "nfnetlink", own: []string{"hooks/network/config", "hooks/network/firewall"}, other: []string{nftables, nftables + "/expr", nftables + "/binaryutil", nftables + "/userdata", xsys}},
	"hooks/network/firewall/ipt": {why: "runs iptables", own: []string{"hooks/network/config", "hooks/network/firewall"}, other: []string{blake2s, "github.com/coreos/go-iptables/iptables", nftables}},
	"hooks": {
		why:   "it runs a program with the state on its stdin, and knows neither plans nor containers",
		own:   []string{"internal/sys"},
		other: []string{specs, xsys},
	},

	"internal/plan":     {why: "a leaf: both interpreters and the planner meet here", std: pureAnd("fmt", "encoding/json")},
	"internal/facts":    {why: "data without methods that ask anybody", std: pure},
	"internal/gvariant": {why: "pure: a text to a value", std: pure},
	"internal/field":    {why: "a leaf: errors about config fields", std: pure},
	"internal/ojson":    {why: "pure: reads and writes bytes", own: []string{"internal/field"}, std: pure},
	"internal/ociconfig": {why: "pure: bytes to specs.Spec; the caller reads the file", own: []string{"internal/field", "internal/ojson"},
		other: []string{specs}, std: pure},
	"internal/ocischema": {why: "pure: a decoded document against the schema", own: []string{"internal/field"}, std: pureAnd("regexp")},
	"internal/seccomp":   {why: "pure: a profile to a filter; the init installs it", own: []string{"internal/field"}, other: []string{specs}, std: pureAnd("fmt")},
	"internal/initproto": {why: "the bytes of one message; syscall is for Errno", std: pureAnd("syscall", "fmt")},
	"internal/version":   {why: "reads what the linker has set", other: []string{specs}, std: []string{"runtime", "runtime/debug"}},

	"internal/sys":       {why: "typed system calls, below everything else that makes them", own: []string{"internal/entry"}, other: []string{xsys}},
	"internal/entry":     {why: "it is initialised before every package that does anything, because it imports none", std: []string{"runtime", "unsafe"}},
	"internal/aside":     {why: "it is initialised before package syscall because it imports nothing of the standard library", own: []string{"internal/entry"}, std: []string{"unsafe"}},
	"internal/catch":     {why: "a leaf: a signal handler and a pipe", std: []string{"os", "syscall", "unsafe"}},
	"internal/sealed":    {why: "a leaf: one kind of file", other: []string{xsys}, std: []string{"fmt", "io"}},
	"internal/initbin":   {why: "hands out the embedded init as a sealed file", own: []string{"internal/sealed"}, std: []string{"embed", "errors", "runtime", "io/fs"}},
	"internal/probe":     {why: "the one room that looks at the host to learn facts", own: []string{"internal/facts", "internal/sys"}, other: []string{xsys}},
	"internal/cgroup":    {why: "one kernel subject", own: []string{"internal/sys", "internal/facts"}, other: []string{xsys}},
	"internal/console":   {why: "one kernel subject: terminals, and the sockets that carry them", own: []string{"internal/entry"}, other: []string{xsys}},
	"internal/criu":      {why: "the one room that knows CRIU's protocol; not in the front", other: []string{criu, xsys}},
	"internal/netdev":    {why: "one kernel subject: network devices, by rtnetlink", other: []string{xsys}},
	"internal/rdt":       {why: "one kernel subject: resctrl", own: []string{"internal/sys"}},
	"internal/devfilter": {why: "one kernel subject: device programs of cgroup v2", other: []string{xsys}},
	"internal/state": {why: "files in the state directory", own: []string{"internal/initproto", "internal/ojson", "internal/field", "internal/sys"},
		other: []string{specs, xsys}},

	"internal/deps": {why: "no code"},
	"internal/gen/": {why: "programs that write sources; no part of the product", own: []string{"internal/plan"}, other: []string{specs}},

	"tests/integration": {
		why: "the black box: what it knew of the insides it could not prove from outside", own: []string{"tests/cgroupview"}, other: []string{specs, xsys},
	},
	"tests/network":       {why: "the black box of the network hook", own: []string{"tests/cgroupview"}, other: []string{specs, xsys}},
	"tests/network/peer":  {why: "both ends of a connection"},
	"tests/network/speed": {why: "treats the hook and the CNI plugins alike", other: []string{xsys}},
	"tests/ops":           {why: "gives plans to the init", own: []string{"internal/plan", "internal/initbin", "internal/initproto"}, other: []string{xsys}},
	"tests/init":          {why: "holds the C reader against the Go one", own: []string{"internal/plan", "internal/initproto"}, other: []string{xsys}},
	"tests/bench":         {why: "treats all runtimes alike", own: []string{"tests/bench/chart", "tests/cgroupview", "tests/syscalltrace"}, other: []string{xsys}},
	"tests/bench/chart":   {why: "draws what it is given"},
	"tests/allowance":     {why: "counts what the built program does", own: []string{"tests/cgroupview", "tests/syscalltrace"}, other: []string{xsys}},
	"tests/cgroupview":    {why: "the host's cgroups as programs that are no part of tare see them", other: []string{xsys}},
	"tests/differential":  {why: "the black box again, and treats all runtimes alike", own: []string{"tests/cgroupview"}, other: []string{xsys}},
	"tests/syscalltrace":  {why: "reads what strace writes"},
	"tests/engines":       {why: "the black box behind real engines", other: []string{xsys}},
	"tests/vm":            {why: "makes a machine and runs programs in it", other: []string{xsys}},
	"tests/rings":         {why: "runs programs and reads what they print"},
}

// Names that say nothing about what is inside.
var vagueNames = []string{"utils", "util", "common", "helpers", "helper", "misc", "types", "base", "manager", "shared"}

// What no runtime needs before it starts a container; each of these costs start
// time by its package initialization, or room.
var unwanted = map[string]string{
	"crypto":             "tare encrypts and verifies nothing",
	"encoding/gob":       "state is JSON",
	"encoding/xml":       "nothing is XML; its tables are made at every start",
	"expvar":             "is net/http",
	"go/":                "no source is parsed at run time",
	"html":               "nothing is HTML",
	"image":              "nothing is an image",
	"log":                "messages are written by internal/cli, once",
	"math/big":           "no number is that long",
	"mime":               "nothing is mail",
	"net":                "no host is looked up, no connection made (net/netip and net/url come with urfave/cli, net itself with D-Bus)",
	"net/http":           "nothing is fetched",
	"net/rpc":            "nothing is served",
	"plugin":             "nothing is loaded at run time",
	"runtime/cgo":        "tare is built without cgo",
	"runtime/pprof":      "is net/http's neighbour; profiles are made by tests",
	"testing":            "belongs to tests",
	"google.golang.org/": "no protocol buffers",
	// The network hook is a program of its own so that none of this is in tare.
	module + "/hooks/network":        "is the other program, tare-net",
	"github.com/vishvananda":         "belongs to tare-net",
	"github.com/google/nftables":     "belongs to tare-net",
	"github.com/mdlayher":            "belongs to tare-net",
	"github.com/containernetworking": "belongs to tare-net",
	"github.com/coreos":              "belongs to tare-net",
	"github.com/sirupsen":            "messages are written by internal/cli, once",
}

// Exceptions to unwanted, by full path. net comes with D-Bus,
// and is initialised only for a command that needs systemd (internal/cli/withsystemd).
var tolerated = map[string]bool{"net": true, "net/netip": true, "net/url": true}
