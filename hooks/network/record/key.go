package record

import (
	"encoding/base32"
	"golang.org/x/crypto/blake2s"
	"strings"
)

// LinkPrefix and IFBPrefix begin the names of what the hook makes on the host.
const (
	LinkPrefix = "tv"
	IFBPrefix  = "ti"
)

var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Key names an attachment: links, leases and rules carry it or a part of it, so
// that what belongs to whom can be told even when the record is lost.
func Key(network, id, ifname string) string {
	sum := blake2s.Sum256([]byte(strings.Join([]string{network, id, ifname}, "\x00")))
	return lower.EncodeToString(sum[:])[:13]
}

// LinkName is the name of the host's end of a veth pair: 15 bytes, what IFNAMSIZ
// leaves.
func LinkName(key string) string { return LinkPrefix + key }

// IFBName is the name of the link that shapes what a container sends.
func IFBName(key string) string { return IFBPrefix + key }

// Alias is the host link's alias, which `ip link` shows.
func Alias(id, ifname string) string { return "tare-net:" + id + ":" + ifname }
