package plan

// Namespace flags, as in clone(2).
const (
	NewTime   = 0x00000080
	NewNS     = 0x00020000
	NewCgroup = 0x02000000
	NewUTS    = 0x04000000
	NewIPC    = 0x08000000
	NewUser   = 0x10000000
	NewPID    = 0x20000000
	NewNet    = 0x40000000
)

var nsBits = []bitName{
	{NewUser, "user"}, {NewNS, "mount"}, {NewPID, "pid"}, {NewNet, "network"}, {NewIPC, "ipc"}, {NewUTS, "uts"},
	{NewCgroup, "cgroup"}, {NewTime, "time"},
}

// Propagation types, as in mount(2). PropRec applies them to the whole tree.
const (
	PropRec        = 0x4000
	PropUnbindable = 1 << 17
	PropPrivate    = 1 << 18
	PropSlave      = 1 << 19
	PropShared     = 1 << 20
)

var propBits = []bitName{
	{PropShared, "shared"}, {PropSlave, "slave"}, {PropPrivate, "private"}, {PropUnbindable, "unbindable"}, {PropRec, "recursive"},
}

// msBits are the flags of mount(2) that are not mount attributes.
var msBits = []bitName{{16, "sync"}, {64, "mand"}, {128, "dirsync"}, {1 << 16, "acl"}, {1 << 23, "iversion"}, {1 << 25, "lazytime"}}

// Mount attributes, as in mount_setattr(2).
const (
	AttrReadonly    = 0x01
	AttrNosuid      = 0x02
	AttrNodev       = 0x04
	AttrNoexec      = 0x08
	AttrAtimeMask   = 0x70
	AttrRelatime    = 0x00
	AttrNoatime     = 0x10
	AttrStrictatime = 0x20
	AttrNodiratime  = 0x80
	AttrNosymfollow = 0x200000
)

// attrNames has the names that a set bit shows; the cleared form of ro, nosuid,
// nodev and noexec has names of its own.
var attrNames = []struct {
	bit        uint32
	set, clear string
}{
	{AttrReadonly, "ro", "rw"}, {AttrNosuid, "nosuid", "suid"}, {AttrNodev, "nodev", "dev"}, {AttrNoexec, "noexec", "exec"},
	{AttrNodiratime, "nodiratime", "diratime"}, {AttrNosymfollow, "nosymfollow", "symfollow"},
}

// Attr packs what mount_setattr(2) sets and clears into one argument.
func Attr(set, clear uint32) uint64 { return uint64(set) | uint64(clear)<<32 }

// SplitAttr is the reverse of Attr.
func SplitAttr(a uint64) (set, clear uint32) { return uint32(a), uint32(a >> 32) }
