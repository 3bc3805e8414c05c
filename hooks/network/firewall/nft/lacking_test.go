package nft

import (
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What nfnetlink answers for a part that the kernel does not have, asked of one that no
// kernel has: the same code answers for nf_tables where that is missing.
func TestLacking(t *testing.T) {
	const none, kind = unix.NFNL_SUBSYS_NONE, unix.NLMSG_MIN_TYPE
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		t.Skipf("no nfnetlink: %v", err)
	}
	defer c.Close()
	general := []byte{unix.AF_INET, 0, 0, 0} // struct nfgenmsg
	ask := func(typ netlink.HeaderType, flags netlink.HeaderFlags, data []byte) netlink.Message {
		return netlink.Message{Header: netlink.Header{Type: typ, Flags: netlink.Request | flags}, Data: data}
	}
	_, err = c.Execute(ask(none<<8|kind, netlink.Dump, general))
	if !lackingList(err) {
		t.Errorf("a list: %v", err)
	}
	// struct nfgenmsg of a batch has the part in res_id.
	batch := []byte{unix.AF_UNSPEC, 0, 0, none}
	msgs, err := c.SendMessages([]netlink.Message{ask(unix.NFNL_MSG_BATCH_BEGIN, netlink.Acknowledge, batch), ask(none<<8|kind, netlink.Acknowledge, general), ask(unix.NFNL_MSG_BATCH_END, 0, batch)})
	if err != nil || len(msgs) != 3 {
		t.Fatal(err)
	}
	if _, err = c.Receive(); !Lacking(err) || gone(err) != nil {
		t.Errorf("a batch: %v", err)
	}
	if Lacking(nil) || lackingList(nil) || Lacking(unix.EPERM) || gone(unix.ENOENT) != nil || gone(unix.EBUSY) == nil {
		t.Error("errors are taken for each other")
	}
}
