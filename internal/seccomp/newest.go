package seccomp

// A profile that denies by default was written with the system calls of its
// day in mind. To a program, EPERM from a call that is newer says "you may
// not", where it would have gone on after ENOSYS, "there is no such call". So
// every number above the newest call that a profile names fails with ENOSYS, as
// runc does it. A profile whose default is permissive, or whose default errno
// is ENOSYS, needs none of this.

// newest returns the greatest number of the calls that the profile names, or
// -1 if ENOSYS is not to be returned: none is named, or the default permits.
// What was once only multiplexed does not count on i386, nor does number 0:
// both as in runc.
func (p *profile) newest(a abi) int64 {
	if p.noNewest {
		return -1
	}
	newest := int64(-1)
	for i := range p.blocks {
		for _, call := range p.blocks[i].calls {
			if call == nil || a == abiI386 && (call.socketcall != 0 || call.ipc != 0) {
				continue
			}
			if n := int64(call.nr[a]); n > newest && n > 0 {
				newest = n
			}
		}
	}
	return newest
}
