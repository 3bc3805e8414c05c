package nft

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Lacking says of an error that the kernel has no nf_tables, or not this family of it:
// socket(2) says EPROTONOSUPPORT without nfnetlink; nfnetlink says EOPNOTSUPP to a batch
// for a part that it does not have (nfnetlink_rcv_batch), and nf_tables to a family.
func Lacking(err error) bool {
	return errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)
}

// lackingList says the same of an error of a list: many kernels answer
// EINVAL to a message that is no batch (nfnetlink_rcv_msg).
func lackingList(err error) bool { return Lacking(err) || errors.Is(err, unix.EINVAL) }

// gone is nil for what says that there was nothing to remove.
func gone(err error) error {
	if errors.Is(err, unix.ENOENT) || Lacking(err) {
		return nil
	}
	return err
}
