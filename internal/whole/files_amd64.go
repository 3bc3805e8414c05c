package whole

import "embed"

// Of one machine only.
//
//go:embed all:bin/amd64
var files embed.FS
