package plan

// Constructors of file system ops. Targets ("at") are absolute paths that the
// init resolves inside the root with openat2(2).

// ProcOpen opens the private procfs handle.
func ProcOpen(field string) Op { return Op{Code: OpProcOpen, Field: field} }

// NullOpen opens and verifies /dev/null.
func NullOpen(field string) Op { return Op{Code: OpNullOpen, Field: field} }

// MountPropagation changes the inherited tree (Prop* bits).
func MountPropagation(field string, to uint64) Op {
	return Op{Code: OpMountPropagation, Field: field, Num: [4]uint64{to}}
}

// RootBind makes the root a mount: from the host path, attached there, or from a
// tree that the host opened there. flags: FlagRecursive, FlagParentPriv.
func RootBind(field, path string, tree Slot, flags uint32) Op {
	return Op{Code: OpRootBind, Field: field, Flags: flags, Str: [3]string{path}, Num: [4]uint64{uint64(tree)}}
}

// Mount describes one mount op.
type Mount struct {
	Field       string
	Type        string // file system type, for MountFs
	Source      string
	Tree        Slot // instead of Source, for MountBind; for MountFs, bound where the kernel refuses to mount
	At          string
	Options     []string // "key" or "key=value", for the file system
	Attr        uint64   // see Attr
	Rattr       uint64   // the same, for the whole tree
	Propagation uint64   // Prop* bits, 0 for none
	MS          uint64   // further flags of mount(2), with FlagLegacy
	Flags       uint32
}

// MountFs mounts a new file system.
func MountFs(m Mount) Op {
	return Op{Code: OpMountFs, Field: m.Field, Flags: m.Flags, Str: [3]string{m.Type, m.Source, m.At},
		Num: [4]uint64{m.Attr, m.Propagation, m.MS, uint64(m.Tree)}, Blob: [2][]byte{List(m.Options)}}
}

// MountBind binds a path or a tree.
func MountBind(m Mount) Op {
	return Op{Code: OpMountBind, Field: m.Field, Flags: m.Flags, Str: [3]string{m.Source, m.At},
		Num: [4]uint64{m.Attr, m.Rattr, m.Propagation, uint64(m.Tree)}}
}

// MountRemount changes an existing mount; with FlagFlagsSet the options go to
// the superblock too.
func MountRemount(m Mount) Op {
	return Op{Code: OpMountRemount, Field: m.Field, Flags: m.Flags, Str: [3]string{m.At},
		Num: [4]uint64{m.Attr, m.Rattr, m.Propagation}, Blob: [2][]byte{List(m.Options)}}
}

// MountReadonly makes the mount at a target read-only.
func MountReadonly(field, at string) Op {
	return Op{Code: OpMountReadonly, Field: field, Str: [3]string{at}}
}

// DirMake makes a directory and its parents.
func DirMake(field, at string, mode uint32) Op {
	return Op{Code: OpDirMake, Field: field, Str: [3]string{at}, Num: [4]uint64{uint64(mode)}}
}

// SymlinkMake makes at a link to to.
func SymlinkMake(field, at, to string) Op {
	return Op{Code: OpSymlinkMake, Field: field, Str: [3]string{at, to}}
}

// Dev packs a device number for an op.
func Dev(major, minor uint32) uint64 { return uint64(major)<<32 | uint64(minor) }

// DeviceMake makes a node; mode has the S_IF* bits.
func DeviceMake(field, at string, mode uint32, dev uint64, uid, gid uint32) Op {
	return Op{Code: OpDeviceMake, Field: field, Str: [3]string{at}, Num: [4]uint64{uint64(mode), dev, uint64(uid), uint64(gid)}}
}

// DeviceBind binds a host node, verified to have this type and number.
func DeviceBind(field, at, source string, mode uint32, dev uint64) Op {
	return Op{Code: OpDeviceBind, Field: field, Str: [3]string{at, source}, Num: [4]uint64{uint64(mode), dev}}
}

// RootPivot changes the root by pivot_root(2).
func RootPivot(field string) Op { return Op{Code: OpRootPivot, Field: field} }

// RootMove changes the root by moving it over /.
func RootMove(field string) Op { return Op{Code: OpRootMove, Field: field} }

// RootChroot changes the root by chroot(2) alone.
func RootChroot(field string) Op { return Op{Code: OpRootChroot, Field: field} }

// RootAttr sets attributes and propagation of the root mount.
func RootAttr(field string, attr, propagation uint64) Op {
	return Op{Code: OpRootAttr, Field: field, Num: [4]uint64{attr, propagation}}
}

// MaskPrepare makes the cover of masked directories.
func MaskPrepare(field string) Op { return Op{Code: OpMaskPrepare, Field: field} }

// PathReadonly makes a path read-only.
func PathReadonly(field, path string) Op {
	return Op{Code: OpPathReadonly, Field: field, Str: [3]string{path}}
}

// PathMask covers a path.
func PathMask(field, path string) Op {
	return Op{Code: OpPathMask, Field: field, Str: [3]string{path}}
}
