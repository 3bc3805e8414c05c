package initbin

import "embed"

// Of one machine only: the other's init would be dead weight.
//
//go:embed all:bin/arm64
var files embed.FS
